// What a record's story says of facts that are hard to bring about with real services; packages/cli/test/explain.test.ts has the others.
import { eventQueue, outcomeQueue, retryQueue } from '@clinic-sync/broker'
import type { IngressPart, QueuesPart, Reachable, Row } from '@clinic-sync/contracts'
import { type ColumnType, tableNamed } from '@clinic-sync/mapping'
import { type OutboxEntry, partitionOf, type RecordHistory, SyncError } from '@clinic-sync/sync'
import t from 'tap'
import { explainRecord, type RecordPorts } from '../src/index.ts'
import type { RecordFacts, SideFacts } from '../src/record/gather.ts'
import { howDiffers } from '../src/record/shapes.ts'
import { storyOf } from '../src/record/story.ts'
import { OUR_QUEUES } from '../src/status/queues.ts'

const AT = '2026-11-23T12:00:00.000Z'
const before = (seconds: number) => new Date(Date.parse(AT) - seconds * 1_000).toISOString()
const [TO_PORTAL, TO_CLINIC] = (['sql-to-postgres', 'postgres-to-sql'] as const).map((direction) =>
  eventQueue(direction, partitionOf('aligner_notes', 5)),
) as [string, string]

const ROW: Row = {
  note_id: 5,
  aligner_set_id: 1,
  note_type: 'Doctor',
  note_text: 'please check 16',
  created_at: '2026-01-01T00:00:00.000Z',
  is_edited: false,
  edited_at: null,
  is_read: false,
}
const OTHER: Row = { ...ROW, note_text: 'please check 17' }
const HISTORY: RecordHistory = {
  presence: 'synced',
  latest: '0',
  applied: '0',
  hold: null,
  outbox: [],
  outboxRows: 0,
  editing: null,
  reported: null,
  rulings: [],
}
const side = (row: Row | null, history: Partial<RecordHistory> = {}): SideFacts => ({
  reachable: true,
  locked: false,
  row,
  history: {
    ...HISTORY,
    presence: row === null ? 'absent' : 'synced',
    outboxRows: history.outbox?.length ?? 0,
    ...history,
  },
})
const entry = (more: Partial<OutboxEntry> = {}): OutboxEntry => ({
  queueId: '9',
  operation: 'UPDATE',
  status: 'Queued',
  capturedAt: before(30),
  attempts: 1,
  lastAttempt: before(29),
  reason: null,
  uncommitted: false,
  ...more,
})
/** Every queue with a consumer, and nothing in it but what is said. */
const queues = (messages: Readonly<Record<string, number>> = {}, consumers: Readonly<Record<string, number>> = {}) =>
  ({
    reachable: true,
    missing: [],
    queues: OUR_QUEUES.map((name) => ({ name, messages: messages[name] ?? 0, consumers: consumers[name] ?? 1 })),
  }) satisfies QueuesPart
const bell = { doorbell: 'listen', heard: true, reason: null, lastRang: null } as const
const INGRESS: Reachable<IngressPart> = {
  reachable: true,
  lead: 'leads',
  leader: null,
  startedAt: AT,
  doorbells: { clinic: bell, portal: bell },
  lacks: [],
}

function told(more: Partial<RecordFacts>) {
  const facts: RecordFacts = {
    table: 'aligner_notes',
    key: 5,
    at: AT,
    clinic: side(OTHER),
    portal: side(ROW),
    queues: queues(),
    letters: { reachable: true, letters: [] },
    ingress: INGRESS,
    ...more,
  }
  const story = storyOf(facts, false)
  const says = Object.fromEntries(story.sections.map(({ heading, sentences }) => [heading, sentences.join(' ')]))
  return { ...story, says }
}
const clinicHas = (more: Partial<OutboxEntry>) => ({ clinic: side(OTHER, { outbox: [entry(more)] }) })
const next = 'What happens next'
const todo = 'What to do'

t.test('a change that waits to be sent', (t) => {
  const pending = { status: 'Pending', attempts: 0, lastAttempt: null } as const
  t.match(told(clinicHas(pending)), { outlook: 'moving', says: { [next]: /it is sent within a second/ } })
  t.match(told(clinicHas({ ...pending, capturedAt: before(300) })), {
    outlook: 'held',
    says: { [next]: /it has waited since 5 min ago, though the ingress runs/, [todo]: /doctor/ },
  })
  const deaf = { ...bell, heard: false, reason: 'the broker is disabled' }
  t.match(told({ ...clinicHas(pending), ingress: { ...INGRESS, doorbells: { clinic: deaf, portal: bell } } }), {
    outlook: 'held',
    says: { [next]: /the clinic's doorbell \(listen\) is not heard: the broker is disabled/ },
  })
  const lacks = (name: string) => ({ ...INGRESS, lacks: [{ name, reason: 'for a reason' }] })
  t.match(told({ ...clinicHas(pending), ingress: lacks('rabbitmq') }), {
    outlook: 'held',
    says: { [next]: /it is sent once the ingress has rabbitmq: for a reason\./ },
  })
  t.match(told({ ...clinicHas(pending), ingress: lacks('restored') }), {
    outlook: 'held',
    says: { [todo]: /after-restore/ },
  })
  t.end()
})

t.test('a change that is in RabbitMQ', (t) => {
  const waits = told({ ...clinicHas({}), queues: queues({ [TO_PORTAL]: 7 }) })
  t.match(waits, { outlook: 'moving', says: { [next]: new RegExp(`7 events wait in its queue, ${TO_PORTAL}`) } })
  t.match(told({ ...clinicHas({}), queues: { ...queues(), missing: [TO_PORTAL] } }), {
    outlook: 'held',
    says: { [next]: /is missing, or has no leader now/, [todo]: /migrate broker/ },
  })
  const outcomes = outcomeQueue('sql-to-postgres')
  t.match(told({ ...clinicHas({}), queues: queues({ [outcomes]: 1 }, { [outcomes]: 0 }) }), {
    outlook: 'held',
    says: { [next]: /nobody settles outcomes/i, [todo]: /Start the ingress/ },
  })
  const lost = { lastAttempt: before(16 * 60) }
  t.match(told(clinicHas(lost)), {
    outlook: 'failed',
    says: {
      [next]: /it was sent 16 min ago, has no outcome, and no queue holds it: RabbitMQ has lost it/,
      [todo]: /requeue --side clinic --status queued --table aligner_notes --key 5/,
    },
  })
  t.match(told({ ...clinicHas(lost), queues: queues({ [retryQueue(3)]: 1 }) }), { outlook: 'moving' }, 'another has it')
  t.match(told({ ...clinicHas({}), queues: { reachable: false, reason: 'RabbitMQ is down.' } }), {
    outlook: 'held',
    unasked: ['RabbitMQ'],
    says: { [next]: /it is in RabbitMQ, which cannot be asked/, Queues: 'RabbitMQ cannot be asked: RabbitMQ is down.' },
  })
  t.match(told({ ...clinicHas({}), portal: side(ROW, { hold: 'restored' }) }), {
    outlook: 'held',
    says: {
      [next]: /^The clinic's change: nothing of the clinic's is applied in the portal now/,
      [todo]: /after-restore/,
    },
  })
  const away = told({
    ...clinicHas({}),
    portal: { reachable: false, reason: 'It is down.' },
    queues: queues({ [TO_PORTAL]: 1 }, { [TO_PORTAL]: 0 }),
  })
  t.match(away, { verdict: 'unknown', says: { [todo]: /stops while the portal's database is down/ } })
  t.end()
})

t.test('a change that is tried again', (t) => {
  const retrying = (attempts: number, seconds: number, holds: readonly number[]) =>
    told({
      ...clinicHas({ attempts, lastAttempt: before(seconds), reason: '40001: somebody was faster' }),
      queues: queues(Object.fromEntries(holds.map((retry) => [retryQueue(retry), 1]))),
    }).says[next]
  t.match(retrying(2, 2, [1, 2]), /the first of 3 retry queues \(5 s\), and is tried again by 12:00:03 UTC\./)
  t.match(retrying(3, 10, [1, 2, 3]), /the second of 3 retry queues \(60 s\), and is tried again by 12:00:50 UTC\./)
  t.match(retrying(4, 100, [3]), /the third of 3 retry queues \(600 s\), and is tried again by 12:08:20 UTC\./)
  t.match(retrying(9, 10, [2, 3]), /one of the retry queues, and is tried again by 12:09:50 UTC at the latest\./)
  t.match(retrying(9, 100, [1, 2, 3]), /the third of 3/, 'by then it is in no other')
  t.match(retrying(2, 2, []), /is tried again: 40001.*It is with the service that applies it, or about to be\./)
  t.end()
})

t.test('a change that has failed for good', (t) => {
  const failed = (reason: string | null) => clinicHas({ status: 'Failed', reason })
  t.match(told(failed('23505: doctor_email is taken')), {
    outlook: 'failed',
    says: { [next]: /No dead letter stands for it/, [todo]: /requeue --side clinic --status failed/ },
  })
  t.match(told(failed('SYNC_DISCARDED: by Omar: entered twice (was 23505)')), {
    says: {
      [next]: /an operator has given it up \(by Omar: entered twice/,
      [todo]: /If it is to be sent after all: `npm run sync -- requeue/,
    },
  })
  t.match(told(failed('SYNC_RESTORED: the portal was restored')), { says: { [todo]: /after-restore/ } })
  t.match(told(failed(null)), { says: { [next]: /it has failed for good\. No dead letter/ } }, 'the original system’s')
  t.end()
})

t.test('doctors’ edits', (t) => {
  const editing = {
    since: '3',
    local: '4',
    base: { note_text: 'please check 16', is_edited: false, edited_at: null, is_read: false },
  }
  const open = [entry({ queueId: '4' })]
  t.match(told({ clinic: side(ROW), portal: side(OTHER, { latest: '4', editing, outbox: open }) }).says, {
    'Portal to clinic': /in flight, from version 3 to 4: note_text\./,
  })
  t.match(
    told({ clinic: side(ROW), portal: side(OTHER, { latest: '4', editing, outbox: [entry({ status: 'Synced' })] }) }),
    {
      outlook: 'failed',
      says: {
        [next]: /^The doctor's edit: it \(version 4\) has not arrived in the clinic, and no outbox row is to send it\./,
        [todo]: /requeue --side portal --status synced/,
      },
    },
  )
  const purged = told({ clinic: side(ROW), portal: side(OTHER, { latest: '4', editing }) })
  t.match(purged, { outlook: 'failed', says: { [todo]: /verify --table aligner_notes --repair/ } })
  t.notMatch(purged.says[todo], /requeue/, 'there is no row left to be sent anew')
  const had = { clinic: side(ROW, { applied: '4' }), portal: side(OTHER, { latest: '4', editing }) }
  t.match(told(had), {
    outlook: 'none',
    says: { 'Portal to clinic': /The clinic has had the doctor's edits of version 3 to 4/ },
  })
  const born = {
    clinic: side(null),
    portal: side(OTHER, { latest: '4', editing: { ...editing, base: null }, outbox: open }),
  }
  t.match(told({ ...born, key: -5 }), { verdict: 'portal-only', says: { 'Portal to clinic': /a doctor has made it/ } })
  const deleted = { clinic: side(ROW), portal: side(null, { latest: '4', editing, outbox: open }) }
  t.match(told(deleted), { verdict: 'clinic-only', says: { 'Portal to clinic': /a doctor has deleted it/ } })
  t.match(told({ ...born, key: -5, queues: queues({}, { [TO_CLINIC]: 0 }) }).outlook, /held|moving/)
  t.end()
})

t.test('what the portal may keep, and columns that are shared in some records only', (t) => {
  const patient: Row = {
    person_id: 5,
    patient_id: null,
    patient_name: 'x',
    first_name: null,
    last_name: null,
    phone: null,
  }
  t.match(told({ table: 'patients', clinic: side(null, { latest: '1' }), portal: side(patient) }), {
    verdict: 'kept',
    equal: true,
    says: { 'In short': /it keeps it: records of this table are never removed there/ },
  })
  const lab = { note_type: 'Lab' }
  t.match(told({ clinic: side({ ...OTHER, ...lab }), portal: side({ ...ROW, ...lab }) }).says, {
    Columns: /note_text \(NoteText in the clinic; the clinic's in this record\)/,
  })
  t.end()
})

t.test('how values differ, without the values', (t) => {
  const text = (clinic: string | null, portal: string | null) => howDiffers({ type: 'text' }, clinic, portal)
  t.equal(text('Ali ', 'Ali'), "they differ in trailing blanks only: the clinic's has 4 characters, the portal's 3")
  t.match(text(' Ali', 'Ali'), /blanks before and behind only/)
  t.match(text('a\r\nb', 'a\nb'), /line ends only/)
  t.match(text('é', 'e\u0301'), /how Unicode writes the same characters/)
  t.match(text('a\u200fb', 'ab'), /invisible characters only/)
  t.match(text('Ali', 'ALI'), /small and capital letters only/)
  t.match(
    text('Ali Hassan', 'Ali'),
    /the portal's is the beginning of the clinic's: the clinic's has 10 characters, the portal's 3/,
  )
  t.match(text('Ali', 'Sara'), /^the texts differ: /)
  t.equal(text('', null), "the clinic's is empty, the portal's NULL")
  t.equal(text(null, 'Ali'), "the clinic's is NULL, the portal's a text of 3 characters")
  t.match(text('', 'Ali'), /^the clinic's is empty: /)
  const other = (type: ColumnType, clinic: string | number | boolean, portal: typeof clinic) =>
    howDiffers({ type }, clinic, portal)
  t.equal(other('int', 7, 8), 'the numbers differ')
  t.equal(other('decimal', '7.00', '8.00'), 'the numbers differ')
  t.equal(other('boolean', true, false), 'one is yes, the other no')
  t.equal(other('date', '2026-01-01', '2026-01-03'), "the portal's is 2 d 0 h later")
  t.match(
    other('instant', '2026-01-01T03:00:00.000Z', '2026-01-01T00:00:00.000Z'),
    /3 h 0 min earlier, as a wrong CLINIC_TIME_ZONE/,
  )
  t.equal(other('instant', '2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.003Z'), "the portal's is 3 ms later")
  t.equal(other('instant', 'infinity', '2026-01-01T00:00:00.003Z'), 'the times differ')
  for (const column of tableNamed('aligner_notes').columns)
    t.notMatch(howDiffers(column, 'Ali Hassan', 'Sara 0750'), /Ali|Sara|0750/)
  t.end()
})

t.test('a difference that is gone at the second look was none', async (t) => {
  let looks = 0
  const of = (row: () => Row) => ({
    recordHistory: async () => HISTORY,
    readRows: async () => [{ key: 5, row: row() }],
    recordVersions: async () => [],
    rulings: async () => [],
    ruledValues: async () => null,
  })
  const ports = (rows: readonly Row[]): RecordPorts => ({
    clinic: of(() => OTHER),
    portal: of(() => rows[Math.min(looks++, rows.length - 1)] as Row),
    queueDepths: async () => queues().queues.map(({ name: queue, ...rest }) => ({ queue, ...rest })),
    deadLetters: async () => [],
    ingress: async () => INGRESS,
  })
  t.match(await explainRecord(ports([ROW, OTHER]), 'aligner_notes', 5, { showValues: false }), { verdict: 'same' })
  t.equal(looks, 2)
  t.match(await explainRecord(ports([ROW]), 'aligner_notes', 5, { showValues: false }), { verdict: 'apart' })
  const away = new SyncError('SYNC_DATABASE_DOWN', 'It is away.')
  const broken = { ...ports([ROW]), clinic: { ...of(() => ROW), readRows: async () => Promise.reject(away) } }
  t.match(await explainRecord(broken, 'aligner_notes', 5, { showValues: false }), {
    verdict: 'unknown',
    unasked: ['clinic'],
  })
  const secret = {
    ...ports([ROW]),
    portal: { ...of(() => ROW), recordHistory: async () => Promise.reject(new Error('Ali Hassan')) },
  }
  t.notMatch(JSON.stringify(await explainRecord(secret, 'aligner_notes', 5, { showValues: false })), /Ali Hassan/)
})

t.test('an edit that arrived between the looks at both sides is not said to be lost', async (t) => {
  // The clinic answers at once; the portal when the edit has arrived, been settled, and not been ruled on here yet.
  let looks = 0
  const editing = { since: '8', local: '8', base: ROW }
  const of = (history: () => Partial<RecordHistory>) => ({
    recordHistory: async () => ({ ...HISTORY, ...history() }),
    readRows: async () => [{ key: 5, row: ROW }],
    recordVersions: async () => [],
    rulings: async () => [],
    ruledValues: async () => null,
  })
  const ports = (applied: readonly string[]): RecordPorts => ({
    clinic: of(() => ({ applied: applied[Math.min(looks++, applied.length - 1)] as string })),
    portal: of(() => ({ latest: '8', editing, outbox: [entry({ queueId: '8', status: 'Synced' })], outboxRows: 1 })),
    queueDepths: async () => queues().queues.map(({ name: queue, ...rest }) => ({ queue, ...rest })),
    deadLetters: async () => [],
    ingress: async () => INGRESS,
  })
  const story = await explainRecord(ports(['7', '8']), 'aligner_notes', 5, { showValues: false })
  t.match(story, { verdict: 'same', outlook: 'none' })
  t.notMatch(JSON.stringify(story), /requeue/)
  looks = 0
  const lost = await explainRecord(ports(['7']), 'aligner_notes', 5, { showValues: false })
  t.match(lost, { outlook: 'failed' }, 'one that is lost is so at the second look')
  t.equal(looks, 2)
})
