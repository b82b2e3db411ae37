// One record's story as the portal knows it, and the list of what could not stand.
import type { Settlement } from '@clinic-sync/contracts'
import { DatabaseError } from '@clinic-sync/sync'
import t from 'tap'
import { batch, bench, edit, event, note, parents } from './help.ts'

const db = await bench()
t.teardown(() => db.close())
const { portal } = db
const doctors = await db.connect()
await portal.applyChanges(parents())

const settle = (key: number, version: bigint | number | string, outcome: Settlement['outcome'], more: object = {}) =>
  portal.settleChanges([{ table: 'aligner_notes', key, version: String(version), outcome, ...more }])
const history = (key: number, max = 50) => portal.recordHistory('aligner_notes', key, max)
const isNow = (instant: string | null | undefined) =>
  Math.abs(Date.parse(String(instant)) - Date.now()) < 60_000 && String(instant).endsWith('Z')

t.test('a record that there never was', async (t) => {
  t.strictSame(await history(4_711), {
    presence: 'absent',
    latest: '0',
    applied: '0',
    hold: null,
    outbox: [],
    outboxRows: 0,
    editing: null,
    reported: null,
    rulings: [],
  })
  await t.rejects(portal.recordHistory('nothing' as 'patients', 1, 1), DatabaseError)
})

t.test('a record that the clinic has sent', async (t) => {
  const [found] = await portal.applyChanges([event('aligner_notes', 1, note(1), { version: 77_000_000_000 })])
  t.match(found, { outcome: 'applied' })
  t.match(await history(1), { presence: 'synced', applied: '77000000000', latest: '0', editing: null, outboxRows: 0 })
  for (const { table, key } of [
    { table: 'aligner_doctors', key: 1 },
    { table: 'patients', key: 1 },
    { table: 'work', key: 1 },
    { table: 'aligner_sets', key: 1 },
  ] as const)
    t.match(await portal.recordHistory(table, key, 1), { presence: 'synced' }, table)
})

t.test("a doctor's edits in flight, and how their rows fared", async (t) => {
  await portal.applyChanges([event('aligner_notes', 2, note(2, { note_text: 'first' }))])
  const one = await edit(doctors, 'aligner_notes', 2, { note_text: 'second' })
  await settle(2, one, 'queued')
  await settle(2, one, 'retry', { code: '547', reason: 'its set is missing' })
  const two = await edit(doctors, 'aligner_notes', 2, { note_text: 'third' })
  const found = await history(2)
  t.match(found, {
    presence: 'synced',
    latest: String(two),
    editing: { since: String(one), local: String(two), base: { note_text: 'first', is_read: false } },
    outboxRows: 2,
    outbox: [
      { queueId: String(two), operation: 'UPDATE', status: 'Pending', attempts: 0, lastAttempt: null, reason: null },
      { queueId: String(one), status: 'Queued', attempts: 2, reason: '547: its set is missing', uncommitted: false },
    ],
  })
  t.ok(isNow(found.outbox[0]?.capturedAt))
  t.ok(isNow(found.outbox[1]?.lastAttempt))
  t.match(await history(2, 1), { outbox: [{ queueId: String(two) }], outboxRows: 2 }, 'the latest, and how many')
  await settle(2, two, 'applied')
  const rulingAt = event('aligner_notes', 2, note(2, { note_text: 'third' }), { seen: Number(two) })
  await portal.applyChanges([rulingAt])
  t.match(await history(2), {
    editing: null,
    latest: String(two),
    outbox: [{ status: 'Synced' }, { status: 'Synced' }],
  })
})

t.test('a deleted record keeps its story; so does an edit that went with it', async (t) => {
  await portal.applyChanges([event('aligner_notes', 3, note(3, { note_text: 'before' }))])
  await doctors.query(
    "UPDATE public.aligner_notes SET note_text = 'lost', is_edited = true, edited_at = '2026-01-02 03:04:05.678+03' WHERE note_id = 3",
  )
  const version = (await history(3)).latest
  await portal.applyChanges([event('aligner_notes', 3, null)])
  const found = await history(3)
  t.match(found, { presence: 'absent', latest: version, editing: null, outbox: [{ status: 'Synced' }] })
  t.match(found.rulings, [
    {
      id: /^portal\/\d+$/,
      table: 'aligner_notes',
      key: 3,
      ruling: 'deleted in the clinic',
      version,
      columns: ['edited_at', 'is_edited', 'note_text'],
    },
  ])
  t.ok(isNow(found.rulings[0]?.at))
  const { id, values } = (await portal.ruledValues(String(found.rulings[0]?.id))) ?? {}
  t.equal(id, found.rulings[0]?.id)
  const of = (name: string) => values?.find(({ column }) => column === name)
  t.strictSame(of('note_text'), { column: 'note_text', clinic: null, portal: 'lost', base: 'before' })
  t.strictSame(of('edited_at'), {
    column: 'edited_at',
    clinic: null,
    portal: '2026-01-02T00:04:05.678Z',
    base: null,
  })
  t.strictSame(of('is_edited'), { column: 'is_edited', clinic: null, portal: true, base: false })
  t.strictSame(of('note_id'), { column: 'note_id', clinic: null, portal: 3, base: null }, 'the whole row')
})

t.test('a new record that went with its set, and what the doctor may not change', async (t) => {
  await portal.applyChanges([event('aligner_batches', 5, batch(5))])
  await doctors.query('UPDATE public.aligner_batches SET validity_period = 99, notes = NULL WHERE aligner_batch_id = 5')
  const { rulings } = await portal.recordHistory('aligner_batches', 5, 10)
  t.match(rulings, [{ ruling: "not the portal's to change", columns: ['validity_period'] }])
  t.strictSame((await portal.ruledValues(String(rulings[0]?.id)))?.values, [
    { column: 'validity_period', clinic: 40, portal: 99, base: 40 },
  ])
  await doctors.query(
    "INSERT INTO public.aligner_notes (note_id, aligner_set_id, note_type, note_text) VALUES (-9, 1, 'Doctor', 'born')",
  )
  t.match(await history(-9), { presence: 'synced', editing: { base: null } })
  await portal.applyChanges([event('aligner_notes', -9, null)])
  t.match((await history(-9)).rulings, [{ columns: null }], 'the whole row')
})

t.test('the list in pages, the latest first', async (t) => {
  const all = await portal.rulings(null, 100)
  t.ok(all.length >= 3)
  t.strictSame(all.map(({ table, key }) => `${table}/${key}`).slice(0, 3), [
    'aligner_notes/-9',
    'aligner_batches/5',
    'aligner_notes/3',
  ])
  const first = await portal.rulings(null, 2)
  t.strictSame([...first, ...(await portal.rulings(String(first[1]?.id), 100))], all)
  t.notMatch(JSON.stringify(all), /lost|before"|born/, 'no values')
  t.equal(await portal.ruledValues('portal/999999'), null)
  for (const id of ['clinic/1', 'portal/', 'portal/1; DROP', `portal/${'9'.repeat(30)}`]) {
    t.equal(await portal.ruledValues(id), null, id)
    await t.rejects(portal.rulings(id, 1), DatabaseError, id)
  }
})

t.test('what is held up says so', async (t) => {
  await portal.hold('restored')
  t.match(await history(1), { hold: 'restored' })
  await portal.hold(null)
})

t.test('nobody is waited for', async (t) => {
  await doctors.query(
    "BEGIN; UPDATE public.aligner_notes SET note_text = 'open' WHERE note_id = 1; LOCK TABLE public.aligner_notes IN EXCLUSIVE MODE",
  )
  t.match(await history(1), { presence: 'synced', outboxRows: 0 })
  await portal.rulings(null, 1)
  await doctors.query('ROLLBACK')
})
