import type { Key } from '@clinic-sync/contracts'
import { DatabaseError } from '@clinic-sync/sync'
import type pg from 'pg'
import t from 'tap'
import { batch, bench, edit, event, note, parents, rowOf } from './help.ts'

// A doctor's write never fails because of the sync, and never waits for more than its short transaction.
const db = await bench()
t.teardown(() => db.close())
const { portal } = db
const [one, two, sync] = [await db.connect(), await db.connect(), await db.connect()]
await portal.applyChanges(parents())

const state = async (key: Key) =>
  (await db.rows("SELECT * FROM sync.row_state WHERE table_name = 'aligner_notes' AND record_id = $1", [key]))[0]
const pid = async (client: pg.Client) => (await client.query('SELECT pg_backend_pid() AS pid')).rows[0].pid as string
/** Resolves once that backend has waited for a lock for `ms`. */
async function blocked(backend: string, ms = 0) {
  const sql = `SELECT FROM pg_stat_activity WHERE pid = $1 AND wait_event_type = 'Lock'
    AND clock_timestamp() - query_start > make_interval(secs => $2::float / 1000)`
  while ((await db.rows(sql, [backend, ms])).length === 0);
}
/** What the sync does in one short transaction, held open. */
const applied = async (key: Key, change = {}, seen = 0) => {
  const { data } = event('aligner_notes', key, note(key, change), { seen })
  await sync.query('BEGIN')
  const { rows } = await sync.query('SELECT outcome FROM sync.apply_clinic_changes($1)', [JSON.stringify([data])])
  return rows.map(({ outcome }) => outcome)
}
const pids = { one: await pid(one), two: await pid(two), sync: await pid(sync) }

t.test('a doctor who waited for the sync starts from what the sync wrote', async (t) => {
  await portal.applyChanges([event('aligner_notes', 1, note(1))])
  t.same(await applied(1, { note_text: 'of the clinic' }), ['applied'])
  const waiting = edit(one, 'aligner_notes', 1, { is_read: true })
  await blocked(pids.one)
  await sync.query('COMMIT')
  const version = await waiting
  t.match(await state(1), { since: String(version), local_version: String(version) })
  t.match(JSON.parse((await state(1))?.base ?? ''), { note_text: 'of the clinic', is_read: false })
})

t.test("the same where the record's bookkeeping is new, and is kept", async (t) => {
  await one.query("SET sync.applying = 'on'")
  await one.query("INSERT INTO public.aligner_notes VALUES (2, 1, 'Doctor', 'from before the sync')")
  await one.query('RESET sync.applying')
  t.equal(await state(2), undefined)
  await applied(2)
  const waiting = edit(one, 'aligner_notes', 2, { is_read: true })
  await blocked(pids.one)
  await sync.query('COMMIT')
  const version = await waiting
  const clinic_version = (await state(2))?.clinic_version
  t.ok(Number(clinic_version) > 0)
  t.match(await state(2), { since: String(version) })
})

t.test("a doctor's lock_timeout does not end a wait for the bookkeeping", async (t) => {
  await portal.applyChanges([event('aligner_notes', 3, note(3))])
  await sync.query('BEGIN')
  await sync.query("SELECT FROM sync.row_state WHERE table_name = 'aligner_notes' AND record_id = 3 FOR UPDATE")
  await one.query("SET lock_timeout = '20ms'")
  const waiting = edit(one, 'aligner_notes', 3, { is_read: true })
  await blocked(pids.one, 60)
  await sync.query('COMMIT')
  t.ok((await waiting) > 0)
  t.equal((await one.query('SHOW lock_timeout')).rows[0].lock_timeout, '20ms', "the doctor's own setting stays")
  await one.query('RESET lock_timeout')
})

t.test('where both wait for each other it is the sync that gives way', async (t) => {
  // A doctor takes a key that the clinic uses too, between the two steps of the sync.
  await sync.query('BEGIN')
  await sync.query("SET LOCAL lock_timeout = '250ms'")
  await sync.query("SELECT set_config('sync.applying', 'on', true)")
  await sync.query("INSERT INTO sync.row_state (table_name, record_id, clinic_version) VALUES ('aligner_notes', 4, 1)")
  const waiting = edit(one, 'aligner_notes', 4, { aligner_set_id: 1, note_type: 'Doctor', note_text: 'mine' })
  await blocked(pids.one)
  await t.rejects(sync.query("INSERT INTO public.aligner_notes VALUES (4, 1, 'Doctor', 'the clinic')"), {
    code: '55P03',
  })
  await sync.query('ROLLBACK')
  t.ok((await waiting) > 0)
  t.match(await rowOf(portal, 'aligner_notes', 4), { note_text: 'mine' })
})

t.test('two doctors on one row: versions in the order of their commits, since and base of the first', async (t) => {
  await portal.applyChanges([event('aligner_notes', 5, note(5))])
  await one.query('BEGIN')
  const first = await edit(one, 'aligner_notes', 5, { note_text: 'one' })
  const waiting = edit(two, 'aligner_notes', 5, { is_read: true })
  await blocked(pids.two)
  // Numbers drawn meanwhile for other rows change nothing.
  await portal.applyChanges([event('aligner_notes', 6, note(6))])
  await edit(sync, 'aligner_notes', 6, { is_read: true })
  const again = await edit(one, 'aligner_notes', 5, { note_text: 'one, again' })
  await one.query('COMMIT')
  const second = await waiting
  t.ok(first < again && again < second)
  t.match(await state(5), { since: String(first), local_version: String(second) })
  t.match(JSON.parse((await state(5))?.base ?? ''), { note_text: 'please check 16', is_read: false })

  await portal.applyChanges([event('aligner_notes', 7, note(7))])
  await one.query('BEGIN')
  await edit(one, 'aligner_notes', 7, { note_text: 'taken back' })
  const alone = edit(two, 'aligner_notes', 7, { is_read: true })
  await blocked(pids.two)
  await one.query('ROLLBACK')
  const version = await alone
  t.match(await state(7), { since: String(version), local_version: String(version) })
})

t.test('a row that is deleted and made anew meanwhile', async (t) => {
  await portal.applyChanges([event('aligner_notes', 8, note(8))])
  await one.query('BEGIN')
  const deleted = await edit(one, 'aligner_notes', 8, null)
  const waiting = two.query("INSERT INTO public.aligner_notes VALUES (8, 1, 'Doctor', 'anew')")
  await blocked(pids.two)
  await one.query('COMMIT')
  await waiting
  const made = await state(8)
  t.match(made, { since: String(deleted) })
  t.ok(Number(made?.local_version) > deleted)
  t.match((await portal.takeChanges(1000)).changes.find(({ key }) => key === 8)?.row, { note_text: 'anew' })
})

t.test(
  'a doctor in REPEATABLE READ is told to try again, as by any other writer, and nothing is left half done',
  async (t) => {
    await portal.applyChanges([event('aligner_notes', 9, note(9))])
    await one.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
    await one.query('SELECT FROM public.aligner_notes')
    await portal.applyChanges([event('aligner_notes', 9, note(9))])
    await t.rejects(edit(one, 'aligner_notes', 9, { is_read: true }), { code: '40001' })
    await one.query('ROLLBACK')
    t.match(await state(9), { since: null, local_version: '0' })
    await one.query('BEGIN ISOLATION LEVEL SERIALIZABLE')
    const version = await edit(one, 'aligner_notes', 9, { is_read: true })
    await one.query('COMMIT')
    t.match(await state(9), { since: String(version) })
  },
)

t.test('doctors and the sync on the same few rows at full speed: no edit fails, every edit is captured', async (t) => {
  const range = [101, 102, 103, 104, 105]
  const both = () =>
    range.flatMap((key) => [event('aligner_notes', key, note(key)), event('aligner_batches', key, batch(key))])
  await portal.applyChanges(both())
  const EDITS = 150
  const waits: number[] = []
  const last = new Map<Key, { version: number; text: string }>()
  let running = true
  const doctor = async (client: pg.Client, name: string) => {
    for (let i = 0; i < EDITS; i++) {
      const key = range[Math.floor(Math.random() * range.length)] ?? 101
      const text = `${name} ${i}`
      const started = performance.now()
      await client.query('BEGIN')
      const version = await edit(client, 'aligner_notes', key, { note_text: text })
      if (i % 3 === 0) await edit(client, 'aligner_batches', key, { days: i })
      await client.query('COMMIT')
      waits.push(performance.now() - started)
      if (version > (last.get(key)?.version ?? 0)) last.set(key, { version, text })
    }
  }
  const applying = async () => {
    let batches = 0
    for (; running; batches++) {
      await portal.applyChanges(both()).catch((error: unknown) => {
        if (!(error instanceof DatabaseError) || error.failure !== 'transient') throw error
      })
    }
    return batches
  }
  const syncs = applying()
  const doctors = [one, two, await db.connect(), await db.connect()]
  // Nothing but a row's own order: each doctor's transaction locks a note, then perhaps a batch.
  await Promise.all(doctors.map((client, i) => doctor(client, `doctor ${i}`)))
  running = false
  t.ok((await syncs) > 0)
  const [counted] = await db.rows(
    "SELECT count(*) FROM sync.queue WHERE table_name = 'aligner_notes' AND record_id = ANY ($1)",
    [range],
  )
  t.equal(counted?.count, String(doctors.length * EDITS), 'each edit has its outbox row')
  for (const key of range) {
    const expected = last.get(key)
    t.match(await state(key), { local_version: String(expected?.version) })
    t.match(await rowOf(portal, 'aligner_notes', key), { note_text: expected?.text }, 'the highest version is the last')
  }
  const sorted = waits.sort((a, b) => a - b)
  t.comment(`${waits.length} transactions, 99th percentile ${sorted[Math.floor(waits.length * 0.99)]?.toFixed(1)} ms`)
})
