import type { OutcomeKind, Row, SyncEvent } from '@clinic-sync/contracts'
import type { TableName } from '@clinic-sync/mapping'
import t from 'tap'
import {
  batch,
  bench,
  doctor,
  edit,
  event,
  nextVersion,
  note,
  parents,
  patient,
  payment,
  rowOf,
  set,
  work,
} from './help.ts'

const db = await bench()
t.teardown(() => db.close())
const { portal } = db
const apply = async (...events: SyncEvent[]): Promise<OutcomeKind[]> =>
  (await portal.applyChanges(events)).map(({ outcome }) => outcome)
const doctorsClient = await db.connect()
let keys = 1000

t.test('each table: insert, update, delete', async (t) => {
  await apply(...parents())
  const cases: [TableName, (key: number, change?: Record<string, string | number>) => Row, string, string | number][] =
    [
      ['aligner_doctors', doctor, 'doctor_name', 'Dr. عمر'],
      ['patients', patient, 'phone', '555-TEST'],
      ['work', work, 'type_of_work', 21],
      ['aligner_sets', set, 'days', 14],
      ['aligner_batches', batch, 'days', 14],
      ['aligner_notes', note, 'note_text', 'done'],
      ['aligner_set_payments', payment, 'total_paid', '1500.00'],
    ]
  for (const [table, make, column, value] of cases) {
    const key = table === 'aligner_set_payments' ? 1 : ++keys
    if (table === 'work') await apply(event('patients', key, patient(key)))
    t.same(await apply(event(table, key, make(key))), ['applied'], `${table}: insert`)
    t.same(await rowOf(portal, table, key), make(key), `${table}: arrives as it was`)
    t.same(await apply(event(table, key, make(key, { [column]: value }))), ['applied'], `${table}: update`)
    t.same(await rowOf(portal, table, key), make(key, { [column]: value }))
    t.same(await apply(event(table, key, make(key, { [column]: value }))), ['unchanged'], `${table}: nothing to do`)
    t.same(await apply(event(table, key, null)), ['applied'], `${table}: delete`)
    t.equal(await rowOf(portal, table, key), undefined)
    t.same(await apply(event(table, key, null)), ['unchanged'], `${table}: gone already`)
    t.same(await apply(event(table, key, make(key))), ['applied'], `${table}: brought back under its old key`)
  }
})

t.test('a write that would change nothing does not touch the row', async (t) => {
  const key = ++keys
  await apply(event('patients', key, patient(key)))
  const stamp = () => db.rows('SELECT xmin, ctid, updated_at FROM public.patients WHERE person_id = $1', [key])
  const before = await stamp()
  t.same(await apply(event('patients', key, patient(key))), ['unchanged'])
  t.equal((await stamp())[0]?.updated_at, before[0]?.updated_at)
  t.equal((await stamp())[0]?.ctid, before[0]?.ctid)
})

t.test('duplicates and older versions change nothing, also across a delete', async (t) => {
  const key = ++keys
  const [first, second, third] = [nextVersion(), nextVersion(), nextVersion()]
  t.same(await apply(event('aligner_notes', key, note(key), { version: second })), ['applied'])
  t.same(await apply(event('aligner_notes', key, note(key, { note_text: 'x' }), { version: second })), ['duplicate'])
  t.same(await apply(event('aligner_notes', key, note(key, { note_text: 'x' }), { version: first })), ['stale'])
  t.same(await apply(event('aligner_notes', key, null, { version: third })), ['applied'])
  t.same(await apply(event('aligner_notes', key, note(key), { version: second })), ['stale'], 'stays deleted')
  t.equal(await rowOf(portal, 'aligner_notes', key), undefined)
})

t.test('whatever the order of delivery, the newest state stands', async (t) => {
  for (let round = 0; round < 20; round++) {
    const key = ++keys
    const events = Array.from({ length: 6 }, (_, i) =>
      event('aligner_notes', key, i % 3 === 2 && round % 2 ? null : note(key, { note_text: `${i}` })),
    )
    const last = events.at(-1)?.data.row ?? undefined
    const shuffled = [...events, ...events].sort(() => Math.random() - 0.5)
    for (const each of shuffled) await apply(each)
    t.same(await rowOf(portal, 'aligner_notes', key), last)
  }
})

t.test('a batch of all tables in any order: parents first, deletes last and in reverse', async (t) => {
  for (let round = 0; round < 5; round++) {
    const key = ++keys
    const family = () => [
      event('aligner_doctors', key, doctor(key)),
      event('patients', key, patient(key)),
      event('work', key, work(key)),
      event('aligner_sets', key, set(key, { work_id: key, aligner_dr_id: key })),
      event('aligner_batches', key, batch(key, { aligner_set_id: key })),
      event('aligner_notes', key, note(key, { aligner_set_id: key })),
      event('aligner_set_payments', key, payment(key)),
    ]
    const shuffled = () => family().sort(() => Math.random() - 0.5)
    t.same(new Set(await apply(...shuffled())), new Set(['applied']))
    const gone = shuffled().map(({ data }) => event(data.table as TableName, key, null))
    t.same(new Set(await apply(...gone)), new Set(['applied']))
    const [left] = await db.rows('SELECT count(*) FROM public.aligner_sets WHERE aligner_set_id = $1', [key])
    t.equal(left?.count, '0')
  }
})

t.test('a set takes its batches, notes and payments along, whatever arrives first', async (t) => {
  const key = ++keys
  await apply(event('aligner_sets', key, set(key)), event('aligner_set_payments', key, payment(key)))
  await apply(event('aligner_notes', key, note(key, { aligner_set_id: key })))
  t.same(await apply(event('aligner_sets', key, null)), ['applied'])
  t.same(await apply(event('aligner_notes', key, null), event('aligner_set_payments', key, null)), [
    'unchanged',
    'unchanged',
  ])
})

t.test('a missing parent is a retry that says which, and holds nobody else up', async (t) => {
  const [key, other] = [++keys, ++keys]
  const orphan = event('aligner_notes', key, note(key, { aligner_set_id: other }))
  const outcomes = await portal.applyChanges([orphan, event('aligner_notes', other, note(other))])
  t.match(outcomes, [
    {
      table: 'aligner_notes',
      key,
      outcome: 'retry',
      code: '23503',
      reason: `waits for aligner_sets.aligner_set_id ${other}`,
    },
    { outcome: 'applied' },
  ])
  const orphanSet = event('aligner_sets', other, set(other, { work_id: other, aligner_dr_id: other }))
  t.match(await portal.applyChanges([orphanSet]), [{ outcome: 'retry', reason: `waits for work.work_id ${other}` }])
  await apply(event('patients', other, patient(other)), event('work', other, work(other)))
  t.match(await portal.applyChanges([orphanSet]), [{ outcome: 'retry', reason: /aligner_doctors\.dr_id/ }])
  await apply(event('aligner_doctors', other, doctor(other)))
  t.same(await apply(orphan, orphanSet), ['applied', 'applied'], 'the same versions, once the parents are there')
  t.same(await apply(orphan), ['duplicate'])

  const stale = event('aligner_notes', key, note(key, { aligner_set_id: 999_999 }), { version: 1 })
  t.same(await apply(stale), ['stale'], 'judged before the parent')
})

t.test(
  "a known record whose new parent is missing keeps its version, so that the retry isn't a duplicate",
  async (t) => {
    const [key, parent] = [++keys, ++keys]
    await apply(event('aligner_notes', key, note(key)))
    const moved = event('aligner_notes', key, note(key, { aligner_set_id: parent }))
    t.same(await apply(moved), ['retry'])
    t.match(await rowOf(portal, 'aligner_notes', key), { aligner_set_id: 1 })
    await apply(event('aligner_sets', parent, set(parent)))
    t.same(await apply(moved), ['applied'])
  },
)

const state = async (table: string, key: number) =>
  (await db.rows('SELECT * FROM sync.row_state WHERE table_name = $1 AND record_id = $2', [table, key]))[0]

t.test("a doctor's edit in flight keeps the shared columns until the clinic has ruled", async (t) => {
  const key = ++keys
  await apply(event('aligner_batches', key, batch(key)))
  const edited = await edit(doctorsClient, 'aligner_batches', key, { days: 21 })
  const unruled = event('aligner_batches', key, batch(key, { days: 7, notes: 'lab' }), { seen: edited - 1 })
  t.same(await apply(unruled), ['applied'])
  t.match(await rowOf(portal, 'aligner_batches', key), { days: 21, notes: 'lab' }, "the clinic's columns only")
  t.match(await state('aligner_batches', key), { since: String(edited), clinic_version: unruled.data.version })
  const again = event('aligner_batches', key, batch(key, { days: 7, notes: 'lab' }), { seen: edited - 1 })
  t.same(await apply(again), ['unchanged'])
  t.match(await state('aligner_batches', key), { clinic_version: again.data.version })

  t.same(await apply(event('aligner_batches', key, batch(key, { days: 8 }), { seen: edited })), ['applied'])
  t.same(await rowOf(portal, 'aligner_batches', key), batch(key, { days: 8 }), 'ruled: the whole row')
  t.match(await state('aligner_batches', key), { since: null, base: null, local_version: String(edited) })
})

t.test("only a Doctor note's columns are shared", async (t) => {
  const key = ++keys
  await apply(event('aligner_notes', key, note(key, { note_type: 'Lab' })))
  await edit(doctorsClient, 'aligner_notes', key, { note_text: 'not allowed' })
  await apply(event('aligner_notes', key, note(key, { note_type: 'Lab', note_text: 'lab' })))
  t.match(await rowOf(portal, 'aligner_notes', key), { note_text: 'lab' })

  const mine = ++keys
  await apply(event('aligner_notes', mine, note(mine)))
  await edit(doctorsClient, 'aligner_notes', mine, { note_text: 'mine', is_read: true })
  await apply(event('aligner_notes', mine, note(mine, { note_text: 'lab', created_at: '2025-01-01T00:00:00.000Z' })))
  t.match(await rowOf(portal, 'aligner_notes', mine), {
    note_text: 'mine',
    is_read: true,
    created_at: '2025-01-01T00:00:00.000Z',
  })
})

t.test("a doctor's delete in flight leaves the row away until the clinic has ruled", async (t) => {
  const key = ++keys
  await apply(event('aligner_notes', key, note(key)))
  const deleted = await edit(doctorsClient, 'aligner_notes', key, null)
  t.same(await apply(event('aligner_notes', key, note(key, { is_read: true }))), ['unchanged'])
  t.equal(await rowOf(portal, 'aligner_notes', key), undefined)
  t.same(await apply(event('aligner_notes', key, note(key), { seen: deleted })), ['applied'])
  t.same(await rowOf(portal, 'aligner_notes', key), note(key), 'ruled against: it comes back')
})

t.test("the clinic's delete takes a doctor's edit with it: a conflict, on record", async (t) => {
  const key = ++keys
  await apply(event('aligner_notes', key, note(key)))
  const edited = await edit(doctorsClient, 'aligner_notes', key, { note_text: 'too late' })
  const gone = event('aligner_notes', key, null)
  t.match(await portal.applyChanges([gone]), [{ outcome: 'conflict', reason: /edits went with it/ }])
  t.equal(await rowOf(portal, 'aligner_notes', key), undefined)
  t.match(await db.rows('SELECT * FROM sync.queue WHERE queue_id = $1', [edited]), [
    { status: 'Synced', last_error: "superseded by the clinic's delete" },
  ])
  t.match(await state('aligner_notes', key), { since: null, base: null, clinic_version: gone.data.version })
  const [lost] = await db.rows(
    "SELECT lost_row ->> 'note_text' AS text, base ->> 'note_text' AS base FROM sync.lost_edits WHERE record_id = $1",
    [key],
  )
  t.same({ ...lost }, { text: 'too late', base: 'please check 16' })
  t.same(
    (await portal.takeChanges(10)).changes.filter((change) => change.key === key),
    [],
  )

  const both = ++keys
  await apply(event('aligner_notes', both, note(both)))
  await edit(doctorsClient, 'aligner_notes', both, { note_text: 'x' })
  await edit(doctorsClient, 'aligner_notes', both, null)
  t.same(await apply(event('aligner_notes', both, null)), ['unchanged'], 'deleted on both sides: no conflict')
})

t.test("the clinic's delete settles an edit that it could not take too, on record and with its reason", async (t) => {
  const settle = (key: number, version: number, outcome: 'queued' | 'dead') =>
    portal.settleChanges([
      { table: 'aligner_notes', key, version: String(version), outcome, code: 'SYNC_BAD_VALUE', reason: 'too long' },
    ])
  const [alone, within, under] = [++keys + 3000, ++keys + 3000, ++keys + 3000]
  await apply(event('aligner_sets', under, set(under)), event('aligner_notes', alone, note(alone)))
  await apply(event('aligner_notes', within, note(within, { aligner_set_id: under })))
  for (const [key, gone, outcome] of [
    [alone, event('aligner_notes', alone, null), 'conflict'],
    [within, event('aligner_sets', under, null), 'applied'],
  ] as const) {
    const version = await edit(doctorsClient, 'aligner_notes', key, { note_text: `stuck ${key}` })
    await settle(key, version, 'dead')
    t.same(await apply(gone), [outcome])
    t.match(await db.rows('SELECT status, last_error FROM sync.queue WHERE queue_id = $1', [version]), [
      { status: 'Synced', last_error: "superseded by the clinic's delete; before that: SYNC_BAD_VALUE: too long" },
    ])
    t.match(await db.rows("SELECT lost_row ->> 'note_text' AS text FROM sync.lost_edits WHERE record_id = $1", [key]), [
      { text: `stuck ${key}` },
    ])
    t.match(await state('aligner_notes', key), { since: null, base: null })
    await settle(key, version, 'dead')
    const [row] = await db.rows('SELECT status FROM sync.queue WHERE queue_id = $1', [version])
    t.equal(row?.status, 'Synced', 'whatever is heard of it later')
  }

  const sent = ++keys
  await apply(event('aligner_notes', sent, note(sent)))
  const version = await edit(doctorsClient, 'aligner_notes', sent, { note_text: 'on its way' })
  await settle(sent, version, 'queued')
  t.same(await apply(event('aligner_notes', sent, null)), ['conflict'])
  t.match(
    await db.rows('SELECT status FROM sync.queue WHERE queue_id = $1', [version]),
    [{ status: 'Queued' }],
    'one that was sent is for the clinic to rule on',
  )
  t.match(
    await db.rows("SELECT lost_row ->> 'note_text' AS text FROM sync.lost_edits WHERE record_id = $1", [sent]),
    [{ text: 'on its way' }],
    'and on record, for it may still be overtaken by a newer edit of a row that was brought back',
  )
})

t.test("a set's delete puts a new note on record that is on its way: it will find no set in the clinic", async (t) => {
  const gone = ++keys + 1000
  const born = -gone
  await apply(event('aligner_sets', gone, set(gone)))
  const write = { aligner_set_id: gone, note_type: 'Doctor', note_text: 'on its way' }
  const version = String(await edit(doctorsClient, 'aligner_notes', born, write))
  const settle = (outcome: 'queued' | 'dead', at = version) =>
    portal.settleChanges([
      { table: 'aligner_notes', key: born, version: at, outcome, code: 'SYNC_BAD_VALUE', reason: 'no set' },
    ])
  await settle('queued')
  t.same(await apply(event('aligner_sets', gone, null)), ['applied'])
  const lost = "SELECT lost_row ->> 'note_text' AS text, reason FROM sync.lost_edits WHERE record_id = $1"
  t.match(await db.rows(lost, [born]), [{ text: 'on its way', reason: 'deleted in the clinic' }])
  await settle('dead')
  const row = 'SELECT status, last_error FROM sync.queue WHERE queue_id = $1'
  t.match(await db.rows(row, [version]), [
    { status: 'Synced', last_error: "superseded by the clinic's delete; before that: SYNC_BAD_VALUE: no set" },
  ])

  await apply(event('aligner_sets', gone, set(gone)))
  const again = String(await edit(doctorsClient, 'aligner_notes', born, write))
  await settle('queued', again)
  await settle('dead', again)
  t.match(
    await db.rows(row, [again]),
    [{ status: 'Failed', last_error: 'SYNC_BAD_VALUE: no set' }],
    'of a row that is there',
  )
})

t.test("a set's delete puts the doctor's unsent edits on record, of rows that the clinic never had too", async (t) => {
  const [gone, kept] = [++keys + 1000, ++keys + 1000]
  const born = -gone
  const parent = { aligner_set_id: gone }
  await apply(event('aligner_sets', gone, set(gone)), event('aligner_notes', kept, note(kept, parent)))
  await edit(doctorsClient, 'aligner_notes', kept, { note_text: 'edited too late' })
  await edit(doctorsClient, 'aligner_notes', born, { ...parent, note_type: 'Doctor', note_text: 'written too late' })
  t.same(await apply(event('aligner_sets', gone, null)), ['applied'])
  t.same(
    (await portal.takeChanges(10)).changes.filter(({ key }) => key === kept || key === born),
    [],
    'nothing is sent of a row that is gone',
  )
  const lost =
    "SELECT record_id, lost_row ->> 'note_text' AS text FROM sync.lost_edits WHERE record_id = ANY ($1) ORDER BY 1"
  const both = [
    { record_id: String(born), text: 'written too late' },
    { record_id: String(kept), text: 'edited too late' },
  ]
  t.same(
    (await db.rows(lost, [[born, kept]])).map((row) => ({ ...row })),
    both,
  )
  t.match(await state('aligner_notes', born), { since: null, base: null })
  t.same(
    await apply(event('aligner_notes', kept, null)),
    ['unchanged'],
    "the row's own delete finds nothing more to do",
  )
  t.equal((await db.rows(lost, [[born, kept]])).length, 2)
})

t.test('what the sync writes is marked for the capture triggers, in its own transaction only', async (t) => {
  await db.rows(`CREATE TABLE public.marks (note_id int, mark text)`)
  await db.rows(`CREATE FUNCTION public.mark() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO public.marks VALUES (NEW.note_id, current_setting('sync.applying', true)); RETURN NULL; END $$`)
  await db.rows(
    'CREATE TRIGGER mark AFTER INSERT OR UPDATE ON public.aligner_notes FOR EACH ROW EXECUTE FUNCTION public.mark()',
  )
  const key = ++keys
  await apply(event('aligner_notes', key, note(key)))
  await edit(doctorsClient, 'aligner_notes', key, { is_read: true })
  const marks = await db.rows('SELECT coalesce(mark, $2) AS mark FROM public.marks WHERE note_id = $1', [key, ''])
  t.same(
    marks.map(({ mark }) => mark),
    ['on', ''],
  )
  await db.rows('DROP TRIGGER mark ON public.aligner_notes')
})

t.test('200 changes take one statement', async (t) => {
  const many = () =>
    Array.from({ length: 200 }, (_, i) =>
      event('aligner_notes', 50_000 + i, note(50_000 + i, { note_text: `${nextVersion()}` })),
    )
  for (let round = 0; round < 10; round++) t.same(new Set(await apply(...many())), new Set(['applied']))
  const events = many()
  const started = performance.now()
  await apply(...events)
  t.comment(`200 updates: ${(performance.now() - started).toFixed(1)} ms`)
})
