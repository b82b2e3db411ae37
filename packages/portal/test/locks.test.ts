import type { OutcomeKind, SyncEvent } from '@clinic-sync/contracts'
import t, { type Test } from 'tap'
import { runMigration } from './support/migrate.ts'
import { batch, bench, doctor, event, failure, migrations, note, parents, patient, rowOf, set } from './help.ts'

// Where the sync and a person meet on a row, the sync gives way: it waits for nobody, and the others in its batch go on.

const db = await bench()
t.teardown(() => db.close())
const { portal } = db
const person = await db.connect()
const own = await db.connect()
await portal.applyChanges(parents())

const HELD = { outcome: 'retry', code: '55P03', reason: 'locked in the portal' }
let keys = 1000
const kinds = async (...events: SyncEvent[]): Promise<OutcomeKind[]> =>
  (await portal.applyChanges(events)).map(({ outcome }) => outcome)

interface Meeting {
  /** What the person's transaction does. */
  readonly hold: string
  readonly events: readonly SyncEvent[]
  /** What is to be told while it is open, event by event. */
  readonly told: readonly (object | OutcomeKind)[]
  /** What is to hold while it is open, after the attempts. */
  readonly meanwhile?: () => Promise<unknown>
  readonly end?: 'COMMIT' | 'ROLLBACK'
  /** The outcomes of the same events once it has ended. Left out: applied. */
  readonly after?: readonly OutcomeKind[]
  /** It meets a lock that cannot be skipped. */
  readonly waits?: true
}

/** Applies `events` beside the person's open transaction, with bystanders on both sides, and again when that has ended. */
async function meet(t: Test, meeting: Meeting): Promise<void> {
  const { hold, events, told, meanwhile, end = 'ROLLBACK', after, waits } = meeting
  const bystanders = () => [event('patients', ++keys, patient(keys)), event('aligner_notes', ++keys, note(keys))]
  const expected = told.map((one) => (typeof one === 'string' ? { outcome: one } : one))
  await person.query('BEGIN')
  await person.query(hold)
  if (!waits) {
    // One attempt is enough, and waits for nothing, however long it were allowed to.
    await own.query("BEGIN; SET LOCAL sync.applying = 'on'; SET LOCAL lock_timeout = '5s'")
    const changes = JSON.stringify(events.map(({ data }) => data))
    const { rows } = await own.query('SELECT outcome, code, reason FROM sync.apply_clinic_batch($1) ORDER BY ordinal', [
      changes,
    ])
    await own.query('ROLLBACK')
    t.match(rows, expected, 'no lock is waited for')
  }
  const [first, last] = bystanders()
  const all = [first, ...events, last].filter((one) => one !== undefined)
  t.match(await portal.applyChanges(all), [{ outcome: 'applied' }, ...expected, { outcome: 'applied' }])
  await meanwhile?.()
  await person.query(end)
  const repeated = events.filter((_, index) => JSON.stringify(expected[index]).includes('retry'))
  t.same(await kinds(...repeated), after ?? repeated.map(() => 'applied'), 'and once it has ended')
}

async function held(t: Test, hold: (key: number) => string, change: Partial<Meeting> = {}) {
  const key = ++keys
  await kinds(event('aligner_notes', key, note(key)))
  const edited = event('aligner_notes', key, note(key, { note_text: 'from the clinic' }))
  await meet(t, { hold: hold(key), events: [edited], told: [HELD], ...change })
  return key
}

t.test('a row that somebody edits, or holds in any way that an update has to wait for', async (t) => {
  for (const strength of ['UPDATE', 'NO KEY UPDATE', 'SHARE']) {
    const key = await held(t, (key) => `SELECT FROM public.aligner_notes WHERE note_id = ${key} FOR ${strength}`)
    t.match(await rowOf(portal, 'aligner_notes', key), { note_text: 'from the clinic' })
  }
  const key = await held(t, (key) => `UPDATE public.aligner_notes SET is_read = true WHERE note_id = ${key}`, {
    end: 'COMMIT',
    after: ['unchanged'],
  })
  t.match(await rowOf(portal, 'aligner_notes', key), { is_read: true, note_text: 'please check 16' }, 'edits in flight')
})

t.test('FOR KEY SHARE, as a foreign key check takes it, holds up a delete and no update', async (t) => {
  const hold = `SELECT FROM public.aligner_sets WHERE aligner_set_id = 1 FOR KEY SHARE`
  const edited = event('aligner_sets', 1, set(1, { notes: 'x' }))
  await meet(t, { hold, events: [edited], told: ['applied'] })
  await meet(t, {
    hold: 'INSERT INTO public.aligner_sets (aligner_set_id, work_id, aligner_dr_id) VALUES (999999, 1, 1)',
    events: [event('aligner_doctors', 1, doctor(1, { logo_path: 'x' }))],
    // Postgres takes the stronger lock where a unique column, the address, is among those that are set.
    told: [HELD],
    waits: true,
  })
  const key = ++keys
  await kinds(event('aligner_notes', key, note(key)))
  await meet(t, {
    hold: `SELECT FROM public.aligner_notes WHERE note_id = ${key} FOR KEY SHARE`,
    events: [event('aligner_notes', key, null)],
    told: [HELD],
  })
})

t.test('a delete that is not committed yet is not absence', async (t) => {
  const gone = (key: number) => `DELETE FROM public.aligner_notes WHERE note_id = ${key}`
  const key = await held(t, gone)
  t.match(await rowOf(portal, 'aligner_notes', key), { note_text: 'from the clinic' }, 'undone')
  const other = await held(t, gone, { end: 'COMMIT', after: ['unchanged'] })
  t.equal(await rowOf(portal, 'aligner_notes', other), undefined, "the clinic rules on the doctor's delete first")
  const both = ++keys
  await kinds(event('aligner_notes', both, note(both)))
  const events = [event('aligner_notes', both, null)]
  await meet(t, { hold: gone(both), events, told: [HELD], end: 'COMMIT', after: ['unchanged'] })
})

t.test('an insert of the same key that is not committed yet is not absence', async (t) => {
  const insert = (key: number) =>
    `INSERT INTO public.aligner_notes (note_id, aligner_set_id, note_type, note_text) VALUES (${key}, 1, 'Doctor', 'mine')`
  const key = ++keys
  const ours = () => [event('aligner_notes', key, note(key))]
  await meet(t, { hold: insert(key), events: ours(), told: [HELD], waits: true })
  t.same(await rowOf(portal, 'aligner_notes', key), note(key))

  const other = ++keys
  const events = [event('aligner_notes', other, note(other, { created_at: '2025-01-01T00:00:00.000Z' }))]
  await meet(t, { hold: insert(other), events, told: [HELD], end: 'COMMIT', waits: true })
  t.match(
    await rowOf(portal, 'aligner_notes', other),
    { note_text: 'mine', created_at: '2025-01-01T00:00:00.000Z' },
    "the doctor's edit is in flight: the shared columns stay",
  )

  const gone = [event('aligner_notes', ++keys, null)]
  await meet(t, { hold: insert(keys), events: gone, told: [HELD], waits: true, after: ['unchanged'] })

  const deletedBefore = ++keys
  await kinds(event('aligner_notes', deletedBefore, note(deletedBefore)), event('aligner_batches', keys, batch(keys)))
  await kinds(event('aligner_notes', deletedBefore, null))
  const again = [event('aligner_notes', deletedBefore, note(deletedBefore))]
  // Its bookkeeping is there, and held by the doctor's capture trigger.
  await meet(t, { hold: insert(deletedBefore), events: again, told: [HELD] })

  const aSet = ++keys
  await meet(t, {
    hold: `INSERT INTO public.aligner_sets (aligner_set_id, work_id, aligner_dr_id) VALUES (${aSet}, 1, 1)`,
    events: [event('aligner_sets', aSet, set(aSet))],
    told: [HELD],
    waits: true,
  })
})

t.test('a parent that somebody holds or deletes is not missing: its new children give way', async (t) => {
  const parent = ++keys
  await kinds(event('aligner_sets', parent, set(parent)))
  const children = () => {
    const [one, two] = [++keys, ++keys]
    const under = { aligner_set_id: parent }
    return [event('aligner_notes', one, note(one, under)), event('aligner_batches', two, batch(two, under))]
  }
  const hold = `SELECT FROM public.aligner_sets WHERE aligner_set_id = ${parent} FOR UPDATE`
  const there = children()
  await meet(t, { hold, events: there, told: [HELD, HELD] })
  const [, old] = there
  const key = old?.data.key ?? 0
  const edited = event('aligner_batches', key, batch(key, { aligner_set_id: parent, notes: 'x' }))
  await meet(t, { hold, events: [edited], told: ['applied'] })
  const moved = ++keys
  await kinds(event('aligner_notes', moved, note(moved)))
  const moves = [event('aligner_notes', moved, note(moved, { aligner_set_id: parent }))]
  await meet(t, { hold, events: moves, told: [HELD] })
  t.match(await rowOf(portal, 'aligner_notes', moved), { aligner_set_id: parent })
  await meet(t, {
    hold: `DELETE FROM public.aligner_sets WHERE aligner_set_id = ${parent}`,
    events: children(),
    told: [HELD, HELD],
    end: 'COMMIT',
    after: ['retry', 'retry'],
  })
  const [orphan] = children()
  if (orphan) t.match(await portal.applyChanges([orphan]), [{ outcome: 'retry', code: '23503', reason: /^waits for/ }])
})

t.test('a set goes only when all that goes with it is free', async (t) => {
  const key = () => ++keys
  const family = async () => {
    const [id, one, two] = [key(), key(), key()]
    const under = { aligner_set_id: id }
    await kinds(event('aligner_sets', id, set(id)), event('aligner_notes', one, note(one, under)))
    await kinds(event('aligner_batches', two, batch(two, under)))
    return { id, one, two }
  }
  const left = async ({ id, one, two }: Awaited<ReturnType<typeof family>>) => [
    (await rowOf(portal, 'aligner_sets', id)) !== undefined,
    (await rowOf(portal, 'aligner_notes', one)) !== undefined,
    (await rowOf(portal, 'aligner_batches', two)) !== undefined,
  ]
  const holds = [
    ({ one }: { one: number }) => `UPDATE public.aligner_notes SET note_text = 'last words' WHERE note_id = ${one}`,
    ({ one }: { one: number }) => `DELETE FROM public.aligner_notes WHERE note_id = ${one}`,
    ({ two }: { two: number }) => `SELECT FROM public.aligner_batches WHERE aligner_batch_id = ${two} FOR KEY SHARE`,
    ({ id }: { id: number }) =>
      `INSERT INTO public.aligner_notes (aligner_set_id, note_type, note_text) VALUES (${id}, 'Doctor', 'last words')`,
    ({ id }: { id: number }) => `UPDATE public.aligner_notes SET aligner_set_id = ${id} WHERE note_id = 1`,
  ]
  await kinds(event('aligner_notes', 1, note(1)))
  for (const hold of holds) {
    const rows = await family()
    const events = [event('aligner_sets', rows.id, null)]
    const meanwhile = async () => t.same(await left(rows), [true, true, true], 'whole')
    await meet(t, { hold: hold(rows), events, told: [HELD], meanwhile, end: 'COMMIT' })
    t.same(await left(rows), [false, false, false])
  }
  const lost = await db.rows("SELECT FROM sync.lost_edits WHERE lost_row ->> 'note_text' = 'last words'")
  t.equal(lost.length, 2, 'both on record')
  const rows = await family()
  await meet(t, {
    hold: `SELECT FROM public.aligner_notes WHERE note_id = ${rows.one} FOR UPDATE`,
    events: [event('aligner_sets', rows.id, null), event('aligner_batches', rows.two, null)],
    told: [HELD, 'applied'],
  })
})

t.test("a record's bookkeeping that somebody holds", async (t) => {
  await held(t, (key) => `SELECT FROM sync.row_state WHERE record_id = ${key} FOR UPDATE`)
  const key = ++keys
  await meet(t, {
    hold: `INSERT INTO sync.row_state (table_name, record_id) VALUES ('aligner_notes', ${key})`,
    events: [event('aligner_notes', key, note(key))],
    told: [HELD],
    waits: true,
  })
})

t.test('what was applied already is said to be so, whoever holds the row', async (t) => {
  const key = ++keys
  const [old, current] = [event('aligner_notes', key, note(key)), event('aligner_notes', key, note(key, { days: 1 }))]
  await kinds(current)
  const hold = `SELECT FROM public.aligner_notes WHERE note_id = ${key} FOR UPDATE`
  await meet(t, { hold, events: [current], told: ['duplicate'] })
  await meet(t, { hold, events: [old], told: ['stale'] })
})

t.test('locks that cannot be skipped end the wait within milliseconds', async (t) => {
  const key = ++keys
  const address = { doctor_email: 'one@example.org' }
  await meet(t, {
    hold: `INSERT INTO public.aligner_doctors (dr_id, doctor_name, doctor_email) VALUES (999999, 'x', 'one@example.org')`,
    events: [event('aligner_doctors', key, doctor(key, address))],
    told: [HELD],
    waits: true,
  })
  await person.query('BEGIN; LOCK TABLE public.aligner_batches IN ACCESS EXCLUSIVE MODE')
  const many = Array.from({ length: 100 }, () => event('aligner_batches', ++keys, batch(keys)))
  const other = event('patients', ++keys, patient(keys))
  const started = performance.now()
  const outcomes = await portal.applyChanges([...many, other])
  const took = performance.now() - started
  await person.query('ROLLBACK')
  t.match(outcomes.at(-1), { outcome: 'applied' })
  t.ok(outcomes.slice(0, 100).every(({ code }) => code === '55P03'))
  t.ok(took < 1000, `${took.toFixed(0)} ms, and the clinic's patients are not held for longer`)
  t.same(new Set(await kinds(...many, other)), new Set(['applied', 'duplicate']))
  // Another failure is not mistaken for a lock.
  const taken = event('aligner_doctors', ++keys, doctor(keys, address))
  t.match(await failure(portal.applyChanges([taken])), { number: '23505' })
})

t.test('200 events of which 0, 1, 20 or 200 rows are held', async (t) => {
  const ids = Array.from({ length: 200 }, (_, i) => 50_000 + i)
  const all = (note_text: string) => ids.map((id) => event('aligner_notes', id, note(id, { note_text })))
  for (let round = 0; round < 8; round++) await kinds(...all(`${round}`))
  for (const count of [0, 1, 20, 200]) {
    const chosen = ids.filter((_, i) => count > 0 && i % (200 / count) === 0)
    await person.query('BEGIN')
    await person.query('SELECT FROM public.aligner_notes WHERE note_id = ANY ($1) FOR UPDATE', [chosen])
    const started = performance.now()
    const outcomes = await kinds(...all(`held ${count}`))
    const took = performance.now() - started
    await person.query('ROLLBACK')
    t.equal(outcomes.filter((kind) => kind === 'retry').length, count)
    t.equal(outcomes.filter((kind) => kind === 'applied').length, 200 - count)
    t.comment(`${count} held: ${took.toFixed(1)} ms`)
    t.ok(took < 500)
  }
})

t.test("a person's edit beside the sync waits for no longer than its batch", async (t) => {
  const key = ++keys
  await kinds(event('aligner_notes', key, note(key)))
  // The doctor has the note and wants its bookkeeping; the sync has another's bookkeeping and wants this note.
  await person.query('BEGIN')
  await person.query(`UPDATE public.aligner_notes SET note_text = 'a' WHERE note_id = ${key}`)
  await own.query("BEGIN; SET LOCAL sync.applying = 'on'")
  const data = [event('aligner_notes', key, note(key)), event('aligner_notes', key + 1, note(key + 1))].map(
    (one) => one.data,
  )
  await own.query('SELECT FROM sync.apply_clinic_changes($1)', [JSON.stringify(data)])
  await person.query("SET LOCAL lock_timeout = '2s'")
  await person.query(`UPDATE public.aligner_notes SET note_text = 'b' WHERE note_id = ${key}`)
  await person.query('COMMIT')
  await own.query('COMMIT')
  t.match(await rowOf(portal, 'aligner_notes', key), { note_text: 'b' })
  keys++
})

t.test(
  "a file that finds the function of an older version replaces it, and leaves this one's rights alone",
  async (t) => {
    const file = (await migrations()).filter(({ name }) => name === '02_sync_apply.sql')
    await db.rows('DROP FUNCTION sync.apply_clinic_changes(jsonb); DROP FUNCTION sync.apply_clinic_batch(jsonb)')
    t.match(await failure(portal.check()), { code: 'SYNC_NOT_MIGRATED' })
    await db.rows(`CREATE FUNCTION sync.apply_clinic_changes(changes jsonb)
    RETURNS TABLE (ordinal integer, outcome text, reason text) LANGUAGE sql AS 'SELECT 1, ''x'', ''y'''`)
    t.match(await failure(portal.check()), { code: 'SYNC_NOT_MIGRATED' })
    await runMigration(db.url, ...file)
    await portal.check()
    t.same(await kinds(event('patients', 1, patient(1))), ['unchanged'])
    const oid = async () =>
      (await db.rows(`SELECT 'sync.apply_clinic_changes(jsonb)'::regprocedure::oid AS oid`))[0]?.oid
    const before = await oid()
    await runMigration(db.url, ...file)
    t.equal(await oid(), before)
  },
)
