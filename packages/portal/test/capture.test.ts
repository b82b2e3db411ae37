import type { Key } from '@clinic-sync/contracts'
import { syncedTables, syncsBack } from '@clinic-sync/mapping'
import t from 'tap'
import { batch, bench, edit, event, note, parents, rowOf, set } from './help.ts'

const db = await bench()
t.teardown(() => db.close())
const { portal } = db
const doctors = await db.connect()
await portal.applyChanges(parents())
let keys = 100

type Table = 'aligner_notes' | 'aligner_batches'
const SHARED = { note_text: 'please check 16', is_edited: false, edited_at: null, is_read: false }

/** Operations captured for a record, in order. */
const captured = async (table: Table, key: Key) =>
  (
    await db.rows('SELECT operation FROM sync.queue WHERE table_name = $1 AND record_id = $2 ORDER BY queue_id', [
      table,
      key,
    ])
  ).map(({ operation }) => operation)
const count = async () => Number((await db.rows('SELECT count(*) FROM sync.queue'))[0]?.count)
const state = async (table: Table, key: Key) => {
  const [row] = await db.rows('SELECT * FROM sync.row_state WHERE table_name = $1 AND record_id = $2', [table, key])
  const { base = null, since = null, local_version = null, clinic_version = null } = row ?? {}
  return { since, local_version, clinic_version, base: base && JSON.parse(base) }
}
const lost = async (key: Key) =>
  (await db.rows('SELECT * FROM sync.lost_edits WHERE record_id = $1 ORDER BY lost_edit_id', [key])).map((row) => ({
    ...row,
    base: JSON.parse(row.base ?? 'null'),
    lost_row: JSON.parse(row.lost_row ?? 'null'),
  }))
/** A note of the clinic's, with nothing in flight. */
const clinicsNote = async (change = {}) => {
  const key = ++keys
  await portal.applyChanges([event('aligner_notes', key, note(key, change))])
  return key
}
const clinicsBatch = async () => {
  const key = ++keys
  await portal.applyChanges([event('aligner_batches', key, batch(key))])
  return key
}

t.test('every table that syncs back has its triggers, the others have none', async (t) => {
  const rows = await db.rows(`SELECT DISTINCT tgrelid::regclass::text AS name FROM pg_trigger
    WHERE tgname LIKE '%sync_capture%' ORDER BY 1`)
  t.same(
    rows.map(({ name }) => name),
    syncedTables
      .filter(syncsBack)
      .map(({ name, isOurs }) => (isOurs ? `sync.${name}` : name))
      .sort(),
  )
  await portal.check()
})

t.test('an update, an insert, a delete: the outbox row, the version, since and base', async (t) => {
  const key = await clinicsNote({ edited_at: '2026-01-02T03:04:05.678Z' })
  t.same(await captured('aligner_notes', key), [], 'what the sync writes is not captured')
  const first = await edit(doctors, 'aligner_notes', key, { note_text: 'one' })
  const before = { ...SHARED, edited_at: '2026-01-02T03:04:05.678Z' }
  t.match(await state('aligner_notes', key), { local_version: String(first), since: String(first) })
  t.same((await state('aligner_notes', key)).base, before, 'the shared columns, as they travel')
  const second = await edit(doctors, 'aligner_notes', key, { note_text: 'two', is_read: true })
  t.ok(second > first)
  t.match(await state('aligner_notes', key), { local_version: String(second), since: String(first), base: before })
  const third = await edit(doctors, 'aligner_notes', key, null)
  t.match(await state('aligner_notes', key), { local_version: String(third), since: String(first), base: before })
  t.same(await captured('aligner_notes', key), ['UPDATE', 'UPDATE', 'DELETE'])

  const [born] = await db.rows(`INSERT INTO public.aligner_notes (aligner_set_id, note_type, note_text)
    VALUES (1, 'Doctor', 'new') RETURNING note_id`)
  const own = Number(born?.note_id)
  t.ok(own < 0)
  t.match(await state('aligner_notes', own), { base: null, clinic_version: '0' })
  t.equal((await state('aligner_notes', own)).since, (await state('aligner_notes', own)).local_version)
  await edit(doctors, 'aligner_notes', own, { note_text: 'newer' })
  t.equal((await state('aligner_notes', own)).base, null, 'still: there was no row')

  const batchKey = await clinicsBatch()
  await edit(doctors, 'aligner_batches', batchKey, { days: 21 })
  t.same((await state('aligner_batches', batchKey)).base, { days: 10 })
})

t.test('after the ruling the next edit starts anew', async (t) => {
  const key = await clinicsBatch()
  const first = await edit(doctors, 'aligner_batches', key, { days: 21 })
  await portal.applyChanges([event('aligner_batches', key, batch(key, { days: 21 }), { seen: first })])
  t.match(await state('aligner_batches', key), { since: null, base: null })
  const second = await edit(doctors, 'aligner_batches', key, { days: 7 })
  t.match(await state('aligner_batches', key), { since: String(second), base: { days: 21 } })
})

t.test('nothing changed, nothing captured', async (t) => {
  const [key, batchKey] = [await clinicsNote(), await clinicsBatch()]
  const before = await count()
  await doctors.query('UPDATE public.aligner_notes SET note_text = note_text, is_read = false WHERE note_id = $1', [
    key,
  ])
  await doctors.query("UPDATE public.aligner_batches SET updated_at = '2020-01-01' WHERE aligner_batch_id = $1", [
    batchKey,
  ])
  await doctors.query('UPDATE public.aligner_notes SET is_read = true WHERE false')
  await doctors.query("INSERT INTO public.aligner_notes VALUES ($1, 1, 'Doctor', 'x') ON CONFLICT DO NOTHING", [key])
  await doctors.query("UPDATE public.patients SET phone = 'a table whose edits do not travel'")
  t.equal(await count(), before)
  t.match(await state('aligner_notes', key), { since: null, local_version: '0' })
})

t.test('any other value is a change', async (t) => {
  const texts = ['a', 'A', 'A ', '', ' ', 'é', 'e\u0301', 'ي', 'ى', '😀']
  const key = await clinicsNote()
  for (const text of texts) await edit(doctors, 'aligner_notes', key, { note_text: text })
  t.equal((await captured('aligner_notes', key)).length, texts.length, 'texts')
  const values = [
    { is_edited: null },
    { is_edited: false },
    { is_edited: true },
    { edited_at: '2026-01-01T00:00:00.000Z' },
    { edited_at: '2026-01-01T00:00:00.001Z' },
    { edited_at: null },
  ]
  for (const value of values) await edit(doctors, 'aligner_notes', key, value)
  t.equal((await captured('aligner_notes', key)).length, texts.length + values.length, 'flags and times')
})

t.test('whatever statement writes: many rows, COPY, upsert, MERGE, TRUNCATE', async (t) => {
  const range = [await clinicsNote(), await clinicsNote(), await clinicsNote()] as const
  await doctors.query('UPDATE public.aligner_notes SET is_read = note_id <> $2 WHERE note_id = ANY ($1)', [
    range,
    range[1],
  ])
  t.same(await captured('aligner_notes', range[0]), ['UPDATE'])
  t.same(await captured('aligner_notes', range[1]), [])
  t.same(await captured('aligner_notes', range[2]), ['UPDATE'])

  await doctors.query(
    `INSERT INTO public.aligner_notes (note_id, aligner_set_id, note_type, note_text) VALUES ($1, 1, 'Doctor', 'again'),
      (-5000, 1, 'Doctor', 'new') ON CONFLICT (note_id) DO UPDATE SET note_text = excluded.note_text`,
    [range[1]],
  )
  t.same(await captured('aligner_notes', range[1]), ['UPDATE'])
  t.match(await state('aligner_notes', range[1]), { base: SHARED })
  t.same(await captured('aligner_notes', -5000), ['INSERT'])

  await doctors.query(
    `MERGE INTO public.aligner_notes AS t USING (VALUES ($1::int), (-5000), (-5001)) AS s (id)
    ON t.note_id = s.id
    WHEN MATCHED AND s.id < 0 THEN DELETE
    WHEN MATCHED THEN UPDATE SET note_text = 'merged'
    WHEN NOT MATCHED THEN INSERT (note_id, aligner_set_id, note_type, note_text) VALUES (s.id, 1, 'Doctor', 'm')`,
    [range[1]],
  )
  t.same(await captured('aligner_notes', range[1]), ['UPDATE', 'UPDATE'])
  t.same(await captured('aligner_notes', -5000), ['INSERT', 'DELETE'])
  t.same(await captured('aligner_notes', -5001), ['INSERT'])

  await doctors.query(`COPY public.aligner_notes (note_id, aligner_set_id, note_type, note_text)
    FROM PROGRAM 'printf "%s\\t1\\tDoctor\\tcopied\\n" -6000 -6001 -6002'`)
  t.same(await captured('aligner_notes', -6001), ['INSERT'])

  const before = await count()
  await doctors.query('BEGIN')
  await doctors.query('TRUNCATE public.aligner_notes')
  const all = await doctors.query(`SELECT count(*) FROM sync.queue WHERE operation = 'DELETE' AND record_id = -6001`)
  t.equal(all.rows[0].count, '1')
  await doctors.query('ROLLBACK')
  t.equal(await count(), before, 'a rollback takes everything back')
})

t.test(
  "deleting a set in the portal deletes its notes and batches: captured; the sync's own deletes are not",
  async (t) => {
    for (const who of ['doctor', 'sync'] as const) {
      const key = ++keys
      await portal.applyChanges([
        event('aligner_sets', key, set(key)),
        event('aligner_batches', key, batch(key, { aligner_set_id: key })),
        event('aligner_notes', key, note(key, { aligner_set_id: key })),
      ])
      if (who === 'doctor') await doctors.query('DELETE FROM public.aligner_sets WHERE aligner_set_id = $1', [key])
      else await portal.applyChanges([event('aligner_sets', key, null)])
      const expected = who === 'doctor' ? ['DELETE'] : []
      t.same(await captured('aligner_notes', key), expected, who)
      t.same(await captured('aligner_batches', key), expected, who)
      if (who === 'doctor') t.match(await state('aligner_notes', key), { base: SHARED })
    }
  },
)

t.test('a new key is another record', async (t) => {
  const [key, fresh] = [await clinicsNote(), -7000]
  await doctors.query('UPDATE public.aligner_notes SET note_id = $2 WHERE note_id = $1', [key, fresh])
  t.same(await captured('aligner_notes', key), ['DELETE'])
  t.match(await state('aligner_notes', key), { base: SHARED })
  t.same(await captured('aligner_notes', fresh), ['INSERT'])
  t.match(await state('aligner_notes', fresh), { base: null })
  const { changes } = await portal.takeChanges(1000)
  t.match(
    changes.find((change) => change.key === key),
    { row: null },
  )
  t.match(changes.find((change) => change.key === fresh)?.row, note(fresh))
})

t.test("columns that are the clinic's: captured, and kept as lost", async (t) => {
  const reason = "not the portal's to change"
  const batchKey = await clinicsBatch()
  const written = { days: 3, notes: 'mine', delivered_to_patient_date: '2026-02-01' }
  const version = await edit(doctors, 'aligner_batches', batchKey, written)
  t.match(await lost(batchKey), [{ table_name: 'aligner_batches', local_version: String(version), reason }])
  t.same((await lost(batchKey))[0]?.base, { notes: null, delivered_to_patient_date: null })
  t.same((await lost(batchKey))[0]?.lost_row, { notes: 'mine', delivered_to_patient_date: '2026-02-01' })
  t.match(await state('aligner_batches', batchKey), { since: String(version), base: { days: 10 } })
  const change = (await portal.takeChanges(1000)).changes.find(({ key }) => key === batchKey)
  t.same(change?.row, batch(batchKey, written), 'the clinic hears of it')
  await portal.applyChanges([event('aligner_batches', batchKey, batch(batchKey, { days: 3 }), { seen: version })])
  t.same(await rowOf(portal, 'aligner_batches', batchKey), batch(batchKey, { days: 3 }), 'and gives its own back')

  const lab = await clinicsNote({ note_type: 'Lab', note_text: 'of the lab' })
  await edit(doctors, 'aligner_notes', lab, { note_text: 'of a doctor', is_read: true })
  await edit(doctors, 'aligner_notes', lab, { note_type: 'Doctor' })
  t.match(await lost(lab), [
    {
      reason,
      base: { note_text: 'of the lab', is_read: false },
      lost_row: { note_text: 'of a doctor', is_read: true },
    },
    { reason, base: { note_type: 'Lab' }, lost_row: { note_type: 'Doctor' } },
  ])

  await edit(doctors, 'aligner_notes', lab, { note_text: 'of a doctor, who made it a Doctor note' })
  t.match(
    (await lost(lab))[2],
    { lost_row: { note_text: 'of a doctor, who made it a Doctor note' } },
    "a change of type that the clinic hasn't ruled on makes nothing the doctor's",
  )
  const asked = Number((await state('aligner_notes', lab)).local_version)
  const ruling = note(lab, { note_type: 'Doctor', note_text: 'of the lab' })
  await portal.applyChanges([event('aligner_notes', lab, ruling, { seen: asked })])
  await edit(doctors, 'aligner_notes', lab, { note_text: "now it is the doctor's" })
  t.equal((await lost(lab)).length, 3, 'the clinic made it a Doctor note')

  const own = await clinicsNote()
  await edit(doctors, 'aligner_notes', own, { note_text: 'mine', is_read: true })
  t.same(await lost(own), [], "a Doctor note's columns are the doctor's")
  await edit(doctors, 'aligner_notes', own, { note_text: 'yours', note_type: 'Lab' })
  t.match(await lost(own), [{ base: { note_type: 'Doctor' }, lost_row: { note_type: 'Lab' } }])
  t.same(Object.keys((await lost(own))[0]?.lost_row ?? {}), ['note_type'])
  await edit(doctors, 'aligner_notes', own, null)
  t.equal((await lost(own)).length, 1, 'a delete loses nothing: the clinic gives the row back')

  const gone = await clinicsNote()
  await edit(doctors, 'aligner_notes', gone, { note_text: 'too late' })
  await portal.applyChanges([event('aligner_notes', gone, null)])
  t.match(await lost(gone), [{ reason: 'deleted in the clinic', lost_row: { note_text: 'too late' } }])
})

t.test('a savepoint that is rolled back takes its capture along', async (t) => {
  const key = await clinicsNote()
  await doctors.query('BEGIN')
  await doctors.query('SAVEPOINT a')
  await doctors.query("UPDATE public.aligner_notes SET note_text = 'taken back' WHERE note_id = $1", [key])
  await doctors.query('ROLLBACK TO a')
  const kept = await edit(doctors, 'aligner_notes', key, { is_read: true })
  await doctors.query('SAVEPOINT b')
  await doctors.query('DELETE FROM public.aligner_notes WHERE note_id = $1', [key])
  await doctors.query('ROLLBACK TO b')
  await doctors.query('COMMIT')
  t.same(await captured('aligner_notes', key), ['UPDATE'])
  t.match(await state('aligner_notes', key), { local_version: String(kept), since: String(kept), base: SHARED })
})

t.test("the sync's mark ends with its transaction, on the same connection too", async (t) => {
  const key = await clinicsNote()
  const { data } = event('aligner_notes', key, note(key, { note_text: 'of the sync' }))
  for (const end of ['COMMIT', 'ROLLBACK']) {
    await doctors.query('BEGIN')
    await doctors.query('SELECT FROM sync.apply_clinic_changes($1)', [JSON.stringify([data])])
    await doctors.query(end)
    t.equal((await doctors.query("SELECT current_setting('sync.applying', true) AS mark")).rows[0].mark, '')
  }
  t.same(await captured('aligner_notes', key), [])
  await edit(doctors, 'aligner_notes', key, { is_read: true })
  t.same(await captured('aligner_notes', key), ['UPDATE'])
})

t.test(
  "the portal's own triggers: whatever they change is captured, with the base from before all of it",
  async (t) => {
    await db.rows(`CREATE FUNCTION public.own_before() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN IF NEW.note_text <> OLD.note_text THEN NEW.is_edited := true; END IF; RETURN NEW; END $$`)
    await db.rows(`CREATE FUNCTION public.own_after() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE public.aligner_notes SET edited_at = '2026-03-01' WHERE note_id = NEW.note_id AND edited_at IS NULL;
    RETURN NULL; END $$`)
    await db.rows(`CREATE TRIGGER "!own" BEFORE UPDATE ON public.aligner_notes
    FOR EACH ROW EXECUTE FUNCTION public.own_before()`)
    await db.rows(`CREATE TRIGGER "1own" AFTER INSERT OR UPDATE ON public.aligner_notes
    FOR EACH ROW EXECUTE FUNCTION public.own_after()`)
    const key = await clinicsNote({ edited_at: '2026-01-01T00:00:00.000Z' })
    await edit(doctors, 'aligner_notes', key, { note_text: 'edited', edited_at: null })
    t.match(await rowOf(portal, 'aligner_notes', key), { is_edited: true, edited_at: /^2026-0[23]/ })
    t.same(await captured('aligner_notes', key), ['UPDATE', 'UPDATE'])
    t.match(await state('aligner_notes', key), { base: { ...SHARED, edited_at: '2026-01-01T00:00:00.000Z' } })
    await edit(doctors, 'aligner_notes', -8000, { aligner_set_id: 1, note_type: 'Doctor', note_text: 'born' })
    t.match(await state('aligner_notes', -8000), { base: null })
    await db.rows('DROP FUNCTION public.own_before, public.own_after CASCADE')
  },
)

t.test('a constraint that is checked at the end, and a publication of all tables, fail nothing', async (t) => {
  await db.rows('ALTER TABLE public.aligner_notes ALTER CONSTRAINT aligner_notes_aligner_set_id_fkey DEFERRABLE')
  await db.rows('CREATE PUBLICATION everything FOR ALL TABLES')
  const key = ++keys
  await doctors.query('BEGIN')
  await doctors.query('SET CONSTRAINTS ALL DEFERRED')
  await edit(doctors, 'aligner_notes', -key, { aligner_set_id: key, note_type: 'Doctor', note_text: 'first' })
  await doctors.query('INSERT INTO public.aligner_sets (aligner_set_id, work_id, aligner_dr_id) VALUES ($1, 1, 1)', [
    key,
  ])
  await doctors.query('COMMIT')
  t.same(await captured('aligner_notes', -key), ['INSERT'])
  await edit(doctors, 'aligner_notes', -key, { note_text: 'second' })
  await edit(doctors, 'aligner_notes', -key, null)
  t.same(await captured('aligner_notes', -key), ['INSERT', 'UPDATE', 'DELETE'])
  await db.rows('DROP PUBLICATION everything')
})

t.test('values that no clinic can take do not fail the edit', async (t) => {
  const key = await clinicsNote()
  for (const edited_at of ['infinity', '-infinity', '0044-03-15 BC', '294276-12-31', null]) {
    await edit(doctors, 'aligner_notes', key, { edited_at, note_text: '\ue000'.repeat(10) + '"\\' + edited_at })
  }
  const batchKey = await clinicsBatch()
  for (const date of ['infinity', '0044-03-15 BC', '5874897-12-31', null]) {
    await edit(doctors, 'aligner_batches', batchKey, { days: 2147483647, manufacture_date: date })
  }
  await edit(doctors, 'aligner_notes', key, { note_text: 'x'.repeat(5_000_000) })
  await edit(doctors, 'aligner_notes', key, { note_text: 'short' })
  t.equal((await captured('aligner_notes', key)).length, 7)
  t.equal((await captured('aligner_batches', batchKey)).length, 4)
  await edit(doctors, 'aligner_batches', batchKey, { manufacture_date: '5874897-12-31' })
  const { changes } = await portal.takeChanges(1000)
  t.ok(
    changes.some((change) => change.key === batchKey),
    'nor do they hold up the outbox',
  )
  for (const edited_at of ['infinity', '-infinity']) {
    await edit(doctors, 'aligner_notes', key, { edited_at })
    const taken = (await portal.takeChanges(1000)).changes.find((change) => change.key === key)
    t.equal(taken?.row?.edited_at, edited_at, 'and the clinic hears of them')
  }

  const huge = await clinicsNote({ note_type: 'Lab' })
  const longer = "note_text = repeat('x', 270000000)"
  await doctors.query(`UPDATE public.aligner_notes SET ${longer} WHERE note_id = $1`, [huge])
  await doctors.query('UPDATE public.aligner_notes SET is_read = true WHERE note_id = $1', [huge])
  await doctors.query('DELETE FROM public.aligner_notes WHERE note_id = $1', [huge])
  t.same(await captured('aligner_notes', huge), ['UPDATE', 'UPDATE', 'DELETE'], 'nor a text longer than jsonb holds')
})

t.test('a dump gives the triggers back as they are; a case-blind collation hides no edit from them', async (t) => {
  const dumped =
    await db.rows(`SELECT tgname AS name, tgrelid::regclass::text AS "table", pg_get_triggerdef(oid) AS text
    FROM pg_trigger WHERE tgname LIKE '%sync_capture%' AND tgrelid <> 'sync.canary'::regclass`)
  t.equal(dumped.length, 6)
  for (const trigger of dumped) await db.rows(`DROP TRIGGER "${trigger.name}" ON public.${trigger.table}`)
  await db.rows("CREATE COLLATION public.blind (provider = icu, locale = 'und-u-ks-level1', deterministic = false)")
  await db.rows('ALTER TABLE public.aligner_notes ALTER note_text TYPE text COLLATE public.blind')
  for (const { text } of dumped) await db.rows(text ?? '')
  const key = await clinicsNote({ note_text: 'abc' })
  const [same] = await db.rows("SELECT note_text = 'ABC' AS same FROM public.aligner_notes WHERE note_id = $1", [key])
  t.equal(same?.same, 't')
  await edit(doctors, 'aligner_notes', key, { note_text: 'ABC' })
  t.same(await captured('aligner_notes', key), ['UPDATE'])
  t.match(await state('aligner_notes', key), { base: { note_text: 'abc' } })
  await edit(doctors, 'aligner_notes', key, { note_text: 'ABC' })
  t.same(await captured('aligner_notes', key), ['UPDATE'])
})
