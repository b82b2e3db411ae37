import type { Settlement } from '@clinic-sync/contracts'
import t from 'tap'
import { batch, bench, edit, event, note, parents } from './help.ts'

const db = await bench()
t.teardown(() => db.close())
const { portal } = db
const doctors = await db.connect()
await portal.applyChanges([...parents(), event('aligner_batches', 1, batch(1)), event('aligner_notes', 1, note(1))])
const queue = (key: number) => db.rows('SELECT * FROM sync.queue WHERE record_id = $1 ORDER BY queue_id', [key])
const settle = (settlement: Partial<Settlement> & Pick<Settlement, 'key' | 'version' | 'outcome'>) =>
  portal.settleChanges([{ table: 'aligner_notes', ...settlement }])

t.test('an empty outbox gives nothing', async (t) => {
  t.same(await portal.takeChanges(100), { changes: [], rows: 0, locked: 0, last: null })
  t.same(await portal.takeChanges(100, '5'), { changes: [], rows: 0, locked: 0, last: null })
})

t.test('a take may begin after what was taken before and is still on its way', async (t) => {
  const keys = Array.from({ length: 5 }, (_, i) => 501 + i)
  await portal.applyChanges(keys.map((key) => event('aligner_notes', key, note(key))))
  const ids: string[] = []
  for (const key of keys) ids.push(String(await edit(doctors, 'aligner_notes', key, { is_read: true })))
  const again = String(await edit(doctors, 'aligner_notes', 501, { note_text: 'again' }))
  const first = await portal.takeChanges(2)
  t.match(first, { rows: 2, last: ids[1] })
  t.same(
    first.changes.map(({ key, version }) => [key, version]),
    [
      [501, again],
      [502, ids[1]],
    ],
  )
  const second = await portal.takeChanges(2, first.last)
  t.match(second, { rows: 2, last: ids[3], changes: [{ key: 503 }, { key: 504 }] })
  // Of a record whose later row is beyond a page both pages carry the same version.
  const third = await portal.takeChanges(100, second.last)
  t.match(third, { rows: 2, last: again, changes: [{ key: 505 }, { key: 501, version: again, since: ids[0] }] })
  t.same(await portal.takeChanges(100, third.last), { changes: [], rows: 0, locked: 0, last: null })
  t.match(await portal.takeChanges(100), { rows: 6, last: again }, 'nothing is marked: from the start they all come')
  // What commits late, with an id that was drawn before, is found from the start only.
  const open = await db.connect()
  await open.query('BEGIN')
  await open.query('UPDATE public.aligner_notes SET is_read = false WHERE note_id = 502')
  const later = String(await edit(doctors, 'aligner_notes', 503, { is_read: false }))
  await open.query('COMMIT')
  t.same((await portal.takeChanges(100, later)).rows, 0)
  t.equal((await portal.takeChanges(100)).rows, 8)
  await portal.settleChanges(
    (await portal.takeChanges(100)).changes.map(({ table, key, version }) => ({
      table: table as 'aligner_notes',
      key,
      version,
      outcome: 'applied',
    })),
  )
  t.equal((await portal.takeChanges(100)).rows, 0)
})

t.test('what another take holds, as of an ingress that has just lost the lead, is said to be left', async (t) => {
  for (const edits of [1, 2]) await edit(doctors, 'aligner_notes', 504, { note_text: `held ${edits}` })
  const other = await db.connect()
  await other.query('BEGIN')
  await other.query('SELECT taken FROM sync.take_changes(100, NULL)')
  t.same(await portal.takeChanges(100), { changes: [], rows: 0, locked: 1, last: null })
  const version = await edit(doctors, 'aligner_notes', 505, { note_text: 'free' })
  t.match(await portal.takeChanges(100), { rows: 1, locked: 1, changes: [{ key: 505, version: String(version) }] })
  await other.query('ROLLBACK')
  const { changes, locked } = await portal.takeChanges(100)
  t.equal(locked, 0)
  t.same(
    changes.map(({ key }) => key),
    [504, 505],
  )
  for (const { key, version } of changes) await settle({ key, version, outcome: 'applied' })
})

t.test('what is settled on the spot counts as looked at', async (t) => {
  const seen = await edit(doctors, 'aligner_notes', 504, { note_text: 'ruled on' })
  await portal.applyChanges([event('aligner_notes', 504, note(504), { seen })])
  t.same(await portal.takeChanges(100), { changes: [], rows: 1, locked: 0, last: String(seen) })
})

t.test('edits are coalesced into one change with the current state, and stay pending', async (t) => {
  const first = await edit(doctors, 'aligner_notes', 1, { note_text: 'one 😀' })
  const days = await edit(doctors, 'aligner_batches', 1, { days: 21 })
  const second = await edit(doctors, 'aligner_notes', 1, { note_text: 'two', edited_at: '2026-01-02T03:04:05.678Z' })
  for (let again = 0; again < 2; again++) {
    const { changes, rows } = await portal.takeChanges(100)
    t.equal(rows, 3)
    t.equal(changes.length, 2)
    const [notes, batches] = changes
    const seen = (await db.rows("SELECT clinic_version FROM sync.row_state WHERE table_name = 'aligner_notes'"))[0]
    t.same(
      { ...notes, capturedAt: undefined },
      {
        table: 'aligner_notes',
        key: 1,
        version: String(second),
        seen: seen?.clinic_version,
        since: String(first),
        base: { note_text: 'please check 16', is_edited: false, edited_at: null, is_read: false },
        row: note(1, { note_text: 'two', edited_at: '2026-01-02T03:04:05.678Z' }),
        capturedAt: undefined,
      },
    )
    t.match(notes?.capturedAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    t.match(batches, { table: 'aligner_batches', version: String(days), base: { days: 10 } })
    t.same(batches?.row, batch(1, { days: 21 }), "the whole record, the clinic's columns included")
  }
  const { changes, rows } = await portal.takeChanges(1)
  t.equal(rows, 1)
  t.match(changes, [{ version: String(second) }], "one row taken, yet the version fits the row's state")
})

t.test('queued, retried, synced', async (t) => {
  const version = (await portal.takeChanges(1)).changes[0]?.version ?? ''
  await settle({ key: 1, version, outcome: 'queued' })
  await settle({ key: 1, version, outcome: 'queued' })
  const notes = async () => (await queue(1)).filter((row) => row.table_name === 'aligner_notes')
  t.match(await notes(), [
    { status: 'Queued', attempts: '1' },
    { status: 'Queued', attempts: '1' },
  ])
  const later = await edit(doctors, 'aligner_notes', 1, { is_read: true })
  await settle({ key: 1, version, outcome: 'retry', code: '1205', reason: 'later' })
  t.match(await notes(), [
    { status: 'Queued', attempts: '2', last_error: '1205: later' },
    { status: 'Queued', attempts: '2' },
    { status: 'Pending', attempts: '0' },
  ])
  await settle({ key: 1, version, outcome: 'applied' })
  await settle({ key: 1, version, outcome: 'queued' })
  t.match(await notes(), [
    { status: 'Synced', last_error: null },
    { status: 'Synced', last_error: null },
    { status: 'Pending', queue_id: String(later) },
  ])
  await settle({ key: 1, version: String(later), outcome: 'dead', code: '515', reason: 'x'.repeat(1200) })
  t.match((await notes())[2], { status: 'Failed', last_error: /^515: x+$/ })
  await portal.settleChanges([
    { table: 'aligner_notes', key: 1, version: String(later), outcome: 'applied' },
    { table: 'aligner_notes', key: 1, version: String(later), outcome: 'queued' },
  ])
  t.match((await notes())[2], { status: 'Synced' })
})

t.test('of several outcomes that arrive together the final one counts, in whatever order', async (t) => {
  const cases = [
    ['applied', 'retry', 'Synced'],
    ['retry', 'applied', 'Synced'],
    ['dead', 'applied', 'Synced'],
    ['applied', 'dead', 'Synced'],
    ['dead', 'retry', 'Failed'],
    ['retry', 'dead', 'Failed'],
  ] as const
  for (const [first, second, status] of cases) {
    const version = String(await edit(doctors, 'aligner_notes', 1, { note_text: `${first} ${second}` }))
    const outcome = { table: 'aligner_notes', key: 1, version, reason: 'why' }
    await portal.settleChanges([{ ...outcome, outcome: 'queued' }])
    await portal.settleChanges([first, second].map((kind) => ({ ...outcome, outcome: kind })))
    t.match(
      (await queue(1)).find(({ queue_id }) => queue_id === version),
      { status },
      `${first}, ${second}`,
    )
  }
})

t.test('a note born in the portal travels whole, with a key that the clinic never takes', async (t) => {
  const [row] = await db.rows(`INSERT INTO public.aligner_notes (aligner_set_id, note_type, note_text)
    VALUES (1, 'Doctor', 'new') RETURNING note_id`)
  const key = Number(row?.note_id)
  t.ok(key < 0)
  const change = (await portal.takeChanges(100)).changes.find((change) => change.key === key)
  t.match(change, {
    base: null,
    seen: '0',
    row: { note_id: key, aligner_set_id: 1, note_type: 'Doctor', note_text: 'new' },
  })
  await edit(doctors, 'aligner_notes', key, null)
  t.match(
    (await portal.takeChanges(100)).changes.find((change) => change.key === key),
    { row: null, base: null },
  )
})

t.test('an edit on which the clinic has ruled is settled without an event', async (t) => {
  await portal.applyChanges([event('aligner_notes', 2, note(2))])
  const edited = await edit(doctors, 'aligner_notes', 2, { is_read: true })
  await portal.applyChanges([event('aligner_notes', 2, note(2, { is_read: true }), { seen: edited })])
  const { changes, rows } = await portal.takeChanges(100)
  t.notOk(changes.some((change) => change.key === 2))
  t.ok(rows > 0)
  t.match(await queue(2), [{ status: 'Synced', last_error: /^superseded/ }])
})

t.test('an open transaction is not waited for: its edit comes with its commit', async (t) => {
  await portal.applyChanges([event('aligner_notes', 3, note(3))])
  const open = await db.connect()
  const first = await edit(open, 'aligner_notes', 3, { note_text: 'committed' })
  await open.query('BEGIN')
  await open.query("UPDATE public.aligner_notes SET note_text = 'open' WHERE note_id = 3")
  const change = (await portal.takeChanges(100)).changes.find((change) => change.key === 3)
  t.match(change, { version: String(first), row: { note_text: 'committed' } })
  await open.query('ROLLBACK')
})

t.test('long texts are taken in portions that every part of the way can carry', async (t) => {
  const queued = ({ changes }: Awaited<ReturnType<typeof portal.takeChanges>>) =>
    portal.settleChanges(
      changes.map(({ table, key, version }) => ({ table, key, version, outcome: 'queued' as const })),
    )
  await queued(await portal.takeChanges(100))
  const added = async (megabytes: number, count: number) => {
    const { rows } = await doctors.query(
      `INSERT INTO public.aligner_notes (aligner_set_id, note_type, note_text)
       SELECT 1, 'Doctor', repeat('x', $1 * 1048576) FROM generate_series(1, $2) RETURNING note_id`,
      [megabytes, count],
    )
    return rows.map(({ note_id }) => Number(note_id))
  }
  const keys = [...(await added(5, 4)), ...(await added(20, 1)), ...(await added(0, 2))]
  const takes: number[][] = []
  for (let taken = await portal.takeChanges(100); taken.rows > 0; taken = await portal.takeChanges(100)) {
    takes.push(taken.changes.map(({ key }) => key))
    await queued(taken)
  }
  t.same(takes, [keys.slice(0, 3), keys.slice(3, 4), keys.slice(4, 5), keys.slice(5)], 'in order, none left out')

  const [huge = 0, small = 0] = [...(await added(65, 1)), ...(await added(0, 1))]
  const beside = await portal.takeChanges(100)
  t.same([beside.changes.map(({ key }) => key), beside.rows], [[small], 2], 'what nothing can carry holds up nothing')
  t.match(await queue(huge), [
    { status: 'Failed', last_error: 'SYNC_BAD_MESSAGE: 68157440 bytes of text; the limit is 67108864' },
  ])
  await edit(doctors, 'aligner_notes', huge, { note_text: 'shorter' })
  const corrected = await portal.takeChanges(100)
  t.match(
    corrected.changes.filter(({ key }) => key === huge),
    [{ row: { note_text: 'shorter' }, base: null }],
    'and goes once it is shorter',
  )
  await doctors.query('DELETE FROM public.aligner_notes WHERE note_id = ANY ($1)', [[...keys, huge, small]])
  await queued(await portal.takeChanges(100))
})

t.test('what was settled long ago is purged', async (t) => {
  await db.rows("UPDATE sync.queue SET last_attempt = now() - interval '8 days' WHERE record_id = 2")
  await settle({ key: 99, version: '1', outcome: 'applied' })
  t.same(await queue(2), [])
  t.ok((await queue(1)).length > 0, 'younger ones stay')
})
