import t from 'tap'
import { bench, doctor, event, note, parents, patient, rowOf } from './help.ts'

const db = await bench()
t.teardown(() => db.close())
const { portal } = db
await portal.applyChanges(parents())
const TABLES = ['sync.queue', 'sync.row_state', 'sync.lost_edits', 'aligner_doctors', 'aligner_sets', 'aligner_notes']

/** Everything there is, as text. */
const all = async () =>
  JSON.stringify(
    await db.rows(TABLES.map((name) => `SELECT '${name}', t::text AS row FROM ${name} t`).join(' UNION ALL ')),
  )
const locks = () =>
  db.rows(`SELECT l.mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
    WHERE c.relname IN ('aligner_notes', 'row_state', 'queue', 'aligner_sets') AND l.pid <> pg_backend_pid()`)

t.test('says what an event would do, and does nothing', async (t) => {
  const before = await all()
  const made = await portal.rehearse(event('aligner_notes', 7, note(7, { note_text: "it's a \\ 'quoted' $1 text" })))
  t.equal(made.before, null)
  t.match(made, { after: { note_id: 7, note_text: "it's a \\ 'quoted' $1 text" }, outcome: { outcome: 'applied' } })
  const changed = await portal.rehearse(event('aligner_doctors', 1, doctor(1, { doctor_name: 'Dr. Other' })))
  t.match(changed, { before: { doctor_name: 'Dr. Layla Haddad' }, after: { doctor_name: 'Dr. Other' } })
  const gone = await portal.rehearse(event('aligner_sets', 1, null))
  t.match(gone, { before: { aligner_set_id: 1 }, after: null, outcome: { outcome: 'applied' } })
  for (const key of [-2_147_483_648, 2_147_483_647]) {
    t.match(await portal.rehearse(event('aligner_notes', key, note(key))), { before: null, after: { note_id: key } })
  }
  t.equal(await all(), before)
  t.same(await locks(), [])
})

t.test('a refusal is the answer: which constraint, and no value', async (t) => {
  const before = await all()
  await portal.applyChanges([event('aligner_doctors', 2, doctor(2))])
  const taken = event('aligner_doctors', 3, doctor(3, { doctor_email: 'dr2@example.org' }))
  const refused = await portal.rehearse(taken)
  t.match(refused, { before: null, after: null, error: { number: '23505', message: /^aligner_doctors\.doctor_email/ } })
  const missing = await portal.rehearse(event('aligner_notes', 8, note(8, { aligner_set_id: 99 })))
  t.match(missing, 'error' in missing ? { error: { failure: 'parent' } } : { outcome: { outcome: 'retry' } })
  const long = await portal.rehearse(event('patients', 1, patient(1, { phone: 'سر'.repeat(200) })))
  t.match(long, {
    before: { person_id: 1 },
    error: { message: 'patients.phone is longer than 255 characters (22001)' },
  })
  t.match(await portal.rehearse(event('invoices' as 'patients', 1, {})), {
    error: { message: 'invoices is not a synced table' },
  })
  t.notMatch(before, /dr2/)
  t.same(await locks(), [])
  // The connection that met the error has gone; the next one is as good.
  t.match(await portal.rehearse(event('aligner_notes', 7, note(7))), { outcome: { outcome: 'applied' } })
})

t.test('a constraint that is checked at the commit only is checked here too', async (t) => {
  const client = await db.connect()
  await client.query(`ALTER TABLE aligner_notes ADD CONSTRAINT once UNIQUE (note_text) DEFERRABLE INITIALLY DEFERRED`)
  t.teardown(() => client.query('ALTER TABLE aligner_notes DROP CONSTRAINT once'))
  await portal.applyChanges([event('aligner_notes', 20, note(20, { note_text: 'one of a kind' }))])
  const twice = await portal.rehearse(event('aligner_notes', 21, note(21, { note_text: 'one of a kind' })))
  t.match(twice, { error: { number: '23505', message: /once/ } })
})

t.test('what somebody holds is told, not waited for; nothing is captured and nobody hears', async (t) => {
  await portal.applyChanges([event('aligner_notes', 30, note(30))])
  const person = await db.connect()
  await person.query('BEGIN')
  await person.query('SELECT FROM aligner_notes WHERE note_id = 30 FOR UPDATE')
  const held = await portal.rehearse(event('aligner_notes', 30, note(30, { note_text: 'new' })))
  t.match(held, { before: { note_id: 30 }, outcome: { outcome: 'retry', code: '55P03' } })
  await person.query('ROLLBACK')

  const listener = await db.connect()
  const heard: string[] = []
  listener.on('notification', ({ payload }) => heard.push(payload ?? ''))
  await listener.query('LISTEN sync_queue')
  const queued = await db.rows('SELECT count(*) FROM sync.queue')
  t.match(await portal.rehearse(event('aligner_notes', 30, note(30, { note_text: 'new' }))), {
    after: { note_text: 'new' },
  })
  t.same(await db.rows('SELECT count(*) FROM sync.queue'), queued)
  // What is said is said in order: the marker comes last.
  await db.rows(`SELECT pg_notify('sync_queue', 'marker')`)
  while (!heard.includes('marker')) await new Promise((resolve) => setTimeout(resolve, 5))
  t.same(heard, ['marker'])
  t.equal((await rowOf(portal, 'aligner_notes', 30))?.note_text, note(30).note_text)
})
