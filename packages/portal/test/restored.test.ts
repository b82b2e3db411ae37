import { syncsBack, tables } from '@clinic-sync/mapping'
import type { Key } from '@clinic-sync/contracts'
import t from 'tap'
import { batch, bench, edit, event, note, parents, rowOf } from './help.ts'

// The portal was restored from an older backup: the clinic has seen queue ids up to SEEN, and the portal begins again at 1.
const SEEN = 50
const db = await bench()
t.teardown(() => db.close())
const { portal } = db
const [one, two, operator] = [await db.connect(), await db.connect(), await db.connect()]
const keys = Array.from({ length: 30 }, (_, i) => i + 1)
await portal.applyChanges([...parents(), event('aligner_batches', 1, batch(1))])
await portal.applyChanges(keys.map((key) => event('aligner_notes', key, note(key))))

const rowsOf = (key: Key) =>
  db.rows("SELECT * FROM sync.queue WHERE table_name = 'aligner_notes' AND record_id = $1 ORDER BY queue_id", [key])
const state = async (key: Key) =>
  (await db.rows("SELECT * FROM sync.row_state WHERE table_name = 'aligner_notes' AND record_id = $1", [key]))[0]
const settle = (key: Key, version: number | string, outcome: 'applied' | 'stale' | 'dead') =>
  portal.settleChanges([{ table: 'aligner_notes', key, version: String(version), outcome, code: '515' }])
const resume = async (seen: number | bigint | null = SEEN, client = operator) =>
  Number((await client.query('SELECT sync.resume_after_restore($1)', [seen])).rows[0].resume_after_restore)
/** The change that the drain would send for a note. */
const taken = async (key: Key) =>
  (await portal.takeChanges(1000)).changes.find(
    ({ table, ...change }) => table === 'aligner_notes' && change.key === key,
  )
const waits = async (sql: string) => {
  while ((await db.rows(`SELECT FROM pg_stat_activity WHERE ${sql}`)).length === 0);
}

t.test('every table that syncs back is locked', async (t) => {
  t.same(
    tables.filter(syncsBack).map(({ name }) => name),
    ['aligner_batches', 'aligner_notes'],
    'sync.send_anew in 06 names these: a third belongs there too',
  )
})

t.test('an edit that the clinic takes for an old one is not Synced', async (t) => {
  const first = await edit(one, 'aligner_notes', 1, { note_text: 'one' })
  const second = await edit(one, 'aligner_notes', 1, { is_read: true })
  await settle(1, first, 'stale')
  t.match(await rowsOf(1), [{ status: 'Synced' }, { status: 'Pending' }], 'an older version was overtaken')
  await settle(1, second, 'stale')
  t.match(await rowsOf(1), [
    { status: 'Synced' },
    { status: 'Failed', last_error: /^SYNC_RESTORED: .*run the doctor$/ },
  ])
  await settle(1, 40, 'applied')
  t.match((await rowsOf(1))[1], { status: 'Failed' }, 'an outcome from before the restore says nothing of it')
})

t.test('they are sent anew, as one edit each, which the clinic merges with what it has', async (t) => {
  const failed = await state(1)
  const waiting = await edit(one, 'aligner_notes', 2, { note_text: 'not sent yet' })
  const deleted = await edit(one, 'aligner_notes', 3, null)
  const dead = await edit(one, 'aligner_notes', 4, { note_text: 'refused' })
  await settle(4, dead, 'dead')
  const days = await edit(one, 'aligner_batches', 1, { days: 21 })
  const untouched = await state(5)
  const rung = new Promise<string>((resolve) => two.once('notification', ({ channel }) => resolve(channel)))
  await two.query('LISTEN sync_queue')

  t.equal(await resume(), 5)
  t.equal(await rung, 'sync_queue')
  await two.query('UNLISTEN sync_queue')
  for (const [key, operation] of [
    [1, 'UPDATE'],
    [2, 'UPDATE'],
    [3, 'DELETE'],
    [4, 'UPDATE'],
  ] as const) {
    const outbox = await rowsOf(key)
    const anew = outbox.at(-1)
    t.match(anew, { status: 'Pending', operation, attempts: '0' })
    t.ok(Number(anew?.queue_id) > SEEN)
    t.ok(outbox.slice(0, -1).every(({ status }) => status === 'Synced'))
    t.match(await state(key), { since: anew?.queue_id, local_version: anew?.queue_id })
    const change = await taken(key)
    t.match(change, { version: anew?.queue_id, since: anew?.queue_id, base: { note_text: 'please check 16' } })
    t.equal(change?.row === null, key === 3)
  }
  t.match((await rowsOf(2))[0], { queue_id: String(waiting), last_error: /^superseded: sent anew/ })
  t.match((await rowsOf(3))[0], { queue_id: String(deleted), status: 'Synced' })
  t.equal((await state(1))?.base, failed?.base)
  t.match((await taken(1))?.row, { note_text: 'one', is_read: true })
  t.same(await state(5), untouched, 'what nobody edited stays')
  t.match(await db.rows("SELECT since > $1 AS anew FROM sync.row_state WHERE table_name = 'aligner_batches'", [days]), [
    { anew: 't' },
  ])

  // The backfill comes after: the clinic has not ruled on them.
  await portal.applyChanges([event('aligner_notes', 1, note(1, { note_text: 'of the clinic' }), { seen: SEEN })])
  t.match(await rowOf(portal, 'aligner_notes', 1), { note_text: 'one', is_read: true })
  const version = (await state(1))?.local_version ?? ''
  await settle(1, version, 'applied')
  t.ok((await rowsOf(1)).every(({ status }) => status === 'Synced'))
})

t.test('a second run sends nothing twice, and never moves the queue ids back', async (t) => {
  const before = await state(2)
  t.equal(await resume(), 0)
  t.same(await state(2), before)
  const later = await edit(one, 'aligner_notes', 6, { is_read: true })
  t.ok(later > Number(before?.local_version))
  t.equal(await resume(0), 0)
  t.ok((await edit(one, 'aligner_notes', 6, { is_read: false })) > later)
  t.match(await state(6), { since: String(later) })

  // Where the ids have grown past what the clinic had seen before anybody noticed.
  await settle(6, (await state(6))?.local_version ?? '', 'stale')
  t.match((await rowsOf(6)).at(-1), { status: 'Failed' })
  t.equal(await resume(0), 1)
  t.match((await rowsOf(6)).at(-1), { status: 'Pending' })
})

t.test('what was written into the clinic’s columns stays with its edit', async (t) => {
  await edit(one, 'aligner_notes', 7, { created_at: '2020-01-01T00:00:00Z' })
  const highest = Number((await state(7))?.local_version)
  t.equal(await resume(highest), (await db.rows('SELECT FROM sync.row_state WHERE since IS NOT NULL')).length)
  const [lost] = await db.rows(
    "SELECT local_version FROM sync.lost_edits WHERE record_id = 7 AND lost_row ? 'created_at'",
  )
  t.equal(lost?.local_version, (await state(7))?.since)
})

t.test('doctors who type meanwhile: an edit that is not committed yet is waited for, and sent', async (t) => {
  await one.query('BEGIN')
  const old = await edit(one, 'aligner_notes', 8, { note_text: 'still typing' })
  const resumed = resume(old)
  await waits("wait_event = 'PgSleep'")
  const meanwhile = await edit(two, 'aligner_notes', 9, { note_text: 'not held up' })
  t.ok(meanwhile > old)
  await one.query('COMMIT')
  t.ok((await resumed) >= 1)
  t.ok(BigInt((await state(8))?.since ?? 0) > BigInt(old))
  t.match(await taken(8), { row: { note_text: 'still typing' }, base: { note_text: 'please check 16' } })
  t.match(await state(9), { since: String(meanwhile) }, 'an edit with a later id goes its own way')
})

t.test('where it and a doctor wait for each other, it gives way', async (t) => {
  const [low, high] = [10, 11]
  await edit(one, 'aligner_notes', low, { note_text: 'low' })
  const last = await edit(one, 'aligner_notes', high, { note_text: 'high' })
  // Holds a row without having edited, so that nothing is waited for but the row.
  await one.query('BEGIN')
  await one.query('SELECT FROM public.aligner_notes WHERE note_id = $1 FOR UPDATE', [high])
  const resumed = resume(last)
  await waits("wait_event_type = 'Lock' AND query LIKE 'SELECT sync.resume_after_restore%'")
  const mine = await edit(one, 'aligner_notes', low, { is_read: true })
  await edit(one, 'aligner_notes', high, { is_read: true })
  await one.query('COMMIT')
  t.ok((await resumed) >= 2)
  t.ok(Number((await state(low))?.local_version) > mine, 'sent with what the doctor added')
  t.match(await taken(low), { row: { note_text: 'low', is_read: true }, base: { note_text: 'please check 16' } })
})

t.test(
  'doctors at full speed while it runs again and again: no edit fails, no id comes twice, all is sent',
  async (t) => {
    const range = keys.slice(11)
    const typing = async (client: typeof one, word: string) => {
      for (let i = 0; i < 60; i++) {
        const key = range[(i * 7) % range.length] ?? 12
        await edit(client, 'aligner_notes', key, { note_text: `${word} ${i}` })
      }
    }
    const doctors = Promise.all([typing(one, 'one'), typing(two, 'two')])
    const top = async () => Number((await db.rows('SELECT last_value FROM sync.queue_ids'))[0]?.last_value)
    for (let i = 0; i < 5; i++) await resume(await top())
    await doctors
    await resume(await top())
    const { changes } = await portal.takeChanges(1000)
    for (const key of range) {
      const record = await state(key)
      const change = changes.find((each) => each.key === key)
      t.match(change, { version: record?.local_version, since: record?.since, base: { note_text: 'please check 16' } })
      t.same(change?.row, await rowOf(portal, 'aligner_notes', key))
    }
  },
)

t.test('what it refuses', async (t) => {
  await t.rejects(resume(null), { code: '22023' })
  await t.rejects(resume(-1), { code: '22023' })
  await operator.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
  await t.rejects(resume(), { code: '25000' })
  await operator.query('ROLLBACK')
  await two.query('BEGIN')
  await resume(SEEN, two)
  await t.rejects(resume(), { code: '55P03' }, 'one at a time')
  await two.query('COMMIT')
  const grants = await db.rows(`SELECT proname FROM pg_proc AS p, aclexplode(p.proacl) AS a
    WHERE pronamespace = 'sync'::regnamespace AND proname IN ('resume_after_restore', 'send_anew', 'edits_to_resume')
      AND a.grantee = 0`)
  t.same(grants, [], 'nobody but the owner may call it')
})
