import type { SyncEvent } from '@clinic-sync/contracts'
import { bisect, DatabaseError } from '@clinic-sync/sync'
import t from 'tap'
import { openPortal } from '../src/index.ts'
import { batch, bench, doctor, event, failure, logged, note, parents, patient, set } from './help.ts'

const db = await bench()
t.teardown(() => db.close())
const { portal } = db
const apply = (...events: SyncEvent[]) => portal.applyChanges(events)
await apply(...parents())
const SECRET = 'زينب-4711'

t.test('a row that can never be applied says where, why, and no value', async (t) => {
  await apply(event('aligner_doctors', 2, doctor(2, { doctor_email: `${SECRET}@example.org` })))
  const cases: [SyncEvent, string | RegExp, string][] = [
    [
      event('aligner_doctors', 3, doctor(3, { doctor_email: `${SECRET}@example.org` })),
      'aligner_doctors.doctor_email must be unique (23505)',
      '23505',
    ],
    [
      event('aligner_doctors', 3, doctor(3, { doctor_name: null })),
      'aligner_doctors.doctor_name must not be null (23502)',
      '23502',
    ],
    [
      event('patients', 3, patient(3, { phone: SECRET.repeat(40) })),
      'patients.phone is longer than 255 characters (22001)',
      '22001',
    ],
    [
      event('aligner_notes', 3, note(3, { note_type: 'زينب' })),
      /^aligner_notes\.note_type violates .*\(23514\)$/,
      '23514',
    ],
    [event('aligner_sets', 3, set(3, { set_cost: '4711471147.11' })), /^aligner_sets\/3: .*\(22003\)$/, '22003'],
    [event('aligner_batches', 3, batch(3, { days: 4711471147 })), /^aligner_batches\/3: .*\(22003\)$/, '22003'],
    [event('aligner_batches', 3, batch(3, { days: SECRET })), /^aligner_batches\/3: .*\(22P02\)$/, '22P02'],
    [event('aligner_batches', 3, batch(3, { manufacture_date: SECRET })), /^aligner_batches\/3: .*\(22007\)$/, '22007'],
    [
      event('aligner_batches', 3, batch(3, { manufacture_date: '2026-02-30' })),
      /^aligner_batches\/3: .*\(22008\)$/,
      '22008',
    ],
  ]
  for (const [bad, message, number] of cases) {
    const error = await failure(apply(bad))
    t.match(error, { failure: 'permanent', number, message })
    t.notMatch(`${error.stack} ${JSON.stringify(error)} ${String(error.cause)}`, /زينب|4711|02-30/)
  }
  const notAnInstant = await failure(apply(event('aligner_notes', 3, note(3, { edited_at: SECRET }))))
  t.match(notAnInstant, { failure: 'permanent', message: 'aligner_notes/3: edited_at is not an instant' })
  const { is_read: _, ...short } = note(3)
  t.match(await failure(apply(event('aligner_notes', 3, short))), {
    failure: 'permanent',
    message: /lacks column is_read/,
  })
  const unknown = event('invoices' as 'patients', 3, {})
  t.match(await failure(apply(unknown)), { failure: 'permanent', message: 'invoices is not a synced table' })
})

t.test('one bad row fails the whole batch, nothing is applied, and bisecting finds it', async (t) => {
  const many = Array.from({ length: 200 }, (_, i) => event('aligner_notes', 1000 + i, note(1000 + i)))
  many[137] = event('aligner_notes', 1137, note(1137, { note_type: 'Nurse' }))
  t.match(await failure(apply(...many)), { failure: 'permanent', number: '23514' })
  const count = async () => (await db.rows('SELECT count(*) FROM public.aligner_notes WHERE note_id >= 1000'))[0]?.count
  t.equal(await count(), '0')
  t.same(await db.rows('SELECT FROM sync.row_state WHERE record_id >= 1000'), [])
  const results = await bisect(many, portal.applyChanges, () => false)
  t.equal(await count(), '199')
  t.same(
    results.flatMap(({ ok }, index) => (ok ? [] : [index])),
    [137],
  )
})

t.test("a trigger of the portal's own that misses something holds up its own row only", async (t) => {
  await apply(event('patients', 30, patient(30)), event('patients', 31, patient(31)))
  await db.rows(`CREATE FUNCTION public.unfinished() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM public.not_there(NEW.person_id); RETURN NEW; END'`)
  await db.rows(`CREATE TRIGGER unfinished AFTER UPDATE ON public.patients
    FOR EACH ROW WHEN (NEW.person_id = 30) EXECUTE FUNCTION public.unfinished()`)
  const edited = [30, 31].map((key) => event('patients', key, patient(key, { last_name: SECRET })))
  const results = await bisect(
    edited,
    portal.applyChanges,
    (error) => error instanceof DatabaseError && error.failure === 'down',
  )
  await db.rows('DROP FUNCTION public.unfinished CASCADE')
  const message = 'patients/30: in a trigger of the portal: a function is missing (42883)'
  t.match(results, [{ error: { failure: 'transient', number: '42883', message } }, { value: { outcome: 'applied' } }])
})

t.test('the same record twice in one batch is refused', async (t) => {
  t.match(await failure(apply(event('aligner_notes', 5, note(5)), event('aligner_notes', 5, note(5)))), {
    number: '22023',
  })
})

t.test("a doctor's note on a set does not wait for the sync's write to that set", async (t) => {
  const sync = await db.connect()
  await sync.query('BEGIN')
  const { data } = event('aligner_sets', 1, set(1, { days: 3 }))
  await sync.query('SELECT * FROM sync.apply_clinic_changes($1)', [JSON.stringify([data])])
  const doctors = await db.connect()
  await doctors.query("SET lock_timeout = '2s'")
  await doctors.query(
    "INSERT INTO public.aligner_notes (aligner_set_id, note_type, note_text) VALUES (1, 'Doctor', 'x')",
  )
  await sync.query('ROLLBACK')
  t.pass('inserted')
})

t.test('overlapping batches on several connections all get through, newest last', async (t) => {
  const second = await openPortal({ url: db.url, log: logged() })
  t.teardown(() => second.close())
  const range = Array.from({ length: 60 }, (_, i) => 2000 + i)
  const rounds = Array.from({ length: 12 }, () =>
    range
      .map((key, i) => event('aligner_notes', key, i % 10 === 0 ? null : note(key, { note_text: `${Math.random()}` })))
      .sort(() => Math.random() - 0.5),
  )
  const through = async (events: readonly SyncEvent[], on: typeof portal) => {
    let left = events
    while (left.length > 0) {
      const outcomes = await on.applyChanges(left)
      left = left.filter((_, index) => outcomes[index]?.code === '55P03')
    }
  }
  await Promise.all(rounds.map((events, i) => through(events, i % 2 ? portal : second)))
  const newest = new Map(rounds.flat().map(({ data }) => [data.key, data] as const))
  for (const { data } of rounds.flat()) {
    if (BigInt(data.version) > BigInt(newest.get(data.key)?.version ?? 0)) newest.set(data.key, data)
  }
  const found = new Map((await portal.readRows('aligner_notes', 1999, 100)).map(({ key, row }) => [key, row]))
  for (const key of range) t.same(found.get(key) ?? null, newest.get(key)?.row)
})

t.test('another transaction went first: tried again on the spot', async (t) => {
  await db.rows(`CREATE SEQUENCE public.tries`)
  await db.rows(`CREATE FUNCTION public.cross() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF nextval('public.tries') < 3 THEN RAISE EXCEPTION 'x' USING ERRCODE = '40P01'; END IF; RETURN NEW; END $$`)
  await db.rows(
    'CREATE TRIGGER crossing BEFORE INSERT ON public.aligner_notes FOR EACH ROW EXECUTE FUNCTION public.cross()',
  )
  t.match(await apply(event('aligner_notes', 8, note(8))), [{ outcome: 'applied' }])
  await db.rows("SELECT setval('public.tries', 1, false)")
  await db.rows(`CREATE OR REPLACE FUNCTION public.cross() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM nextval('public.tries'); RAISE EXCEPTION 'x' USING ERRCODE = '40001'; END $$`)
  t.match(await failure(apply(event('aligner_notes', 9, note(9)))), { failure: 'transient', number: '40001' })
  t.equal((await db.rows('SELECT last_value FROM public.tries'))[0]?.last_value, '4')
  await db.rows('DROP TRIGGER crossing ON public.aligner_notes')
})
