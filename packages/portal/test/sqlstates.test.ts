import { postgresFailure } from '@clinic-sync/sync'
import pg from 'pg'
import t from 'tap'
import { POSTGRES_RULES } from '../../sync/src/failure/postgres.ts'
import { isServerError, toDatabaseError } from '../src/failure.ts'
import { bench } from './help.ts'

const db = await bench({ migrated: false })
t.teardown(() => db.close())
const SECRET = 'Zaynab-4711'

/** What the driver throws. */
async function thrown(client: pg.Client, sql: string): Promise<unknown> {
  const error = await client.query(sql).then(
    () => undefined,
    (error: unknown) => error,
  )
  if (error === undefined) throw new Error(`went through: ${sql}`)
  return error
}
const stateOf = (error: unknown) => (isServerError(error) ? error.code : 'none')

t.test(
  'each state of the table, raised by the server, has its class, and says nothing else of the server’s',
  async (t) => {
    const client = await db.connect()
    for (const { code, failure, words } of POSTGRES_RULES) {
      const state = code.padEnd(5, '0')
      const error = await thrown(
        client,
        `DO $$ BEGIN RAISE EXCEPTION '${SECRET}' USING ERRCODE = '${state}', DETAIL = '${SECRET}', TABLE = 'patients'; END $$`,
      )
      const told = toDatabaseError(error)
      t.equal(told.number, state)
      t.equal(told.failure, failure, state)
      t.equal(told.message, `patients${/^(must|violates)/.test(words) ? '' : ':'} ${words} (${state})`)
      t.equal(told.cause, undefined)
    }
  },
)

t.test('what really happens is of the class that the table says', async (t) => {
  const client = await db.connect()
  await client.query(`
    CREATE TABLE parent (id int PRIMARY KEY, small varchar(3), about text UNIQUE, n smallint CHECK (n > 0));
    CREATE TABLE child (id int REFERENCES parent ON DELETE RESTRICT);
    CREATE SEQUENCE two MAXVALUE 2;
    CREATE FUNCTION deep(n int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN deep(n + 1); END';
    INSERT INTO parent VALUES (1, 'x', 'a', 1); INSERT INTO child VALUES (1);`)
  const cases: [sql: string, state: string, failure: string][] = [
    [`INSERT INTO child VALUES (2)`, '23503', 'parent'],
    [`DELETE FROM parent`, '23001 23503', 'parent'],
    [`INSERT INTO parent VALUES (1)`, '23505', 'permanent'],
    [`INSERT INTO parent VALUES (NULL)`, '23502', 'permanent'],
    [`INSERT INTO parent VALUES (2, NULL, NULL, 0)`, '23514', 'permanent'],
    [`INSERT INTO parent VALUES (2, '${SECRET}')`, '22001', 'permanent'],
    [`INSERT INTO parent VALUES (2, NULL, NULL, 99999)`, '22003', 'permanent'],
    [`SELECT convert_from('\\xff', 'UTF8')`, '22021', 'permanent'],
    [`SELECT '2026-02-30'::date`, '22008', 'permanent'],
    [
      `INSERT INTO parent SELECT 3, NULL, string_agg(md5(i::text), '') FROM generate_series(1, 3000) AS i`,
      '54000',
      'permanent',
    ],
    [`SELECT nextval('two') FROM generate_series(1, 3)`, '2200H', 'transient'],
    [`SELECT deep(1)`, '54001', 'permanent'],
    [`SELECT * FROM nowhere`, '42P01', 'down'],
    [`CREATE TABLE nowhere.x ()`, '3F000', 'down'],
    [`SELECT nothing FROM parent`, '42703', 'down'],
    [`SET statement_timeout = '5ms'; SELECT pg_sleep(1)`, '57014', 'transient'],
    [`SET transaction_read_only = on; UPDATE parent SET n = 2`, '25006', 'down'],
  ]
  for (const [sql, states, failure] of cases) {
    const error = toDatabaseError(await thrown(client, sql))
    t.ok(states.split(' ').includes(error.number ?? ''), `${states}: ${error.number}`)
    t.equal(error.failure, failure, states)
    t.notMatch(error.message, SECRET)
    await client.query('RESET ALL')
  }
})

t.test('a deadlock, a serialization failure, a lock: somebody else was there first', async (t) => {
  const [one, two] = [await db.connect(), await db.connect()]
  for (const client of [one, two]) await client.query(`SET deadlock_timeout = '10ms'`)
  await one.query('CREATE TABLE met (id int PRIMARY KEY, n int); INSERT INTO met VALUES (1, 0), (2, 0)')
  const update = (id: number) => `UPDATE met SET n = n + 1 WHERE id = ${id}`

  await Promise.all([one, two].map((client) => client.query('BEGIN')))
  await Promise.all([one.query(update(1)), two.query(update(2))])
  const ends = await Promise.allSettled([one.query(update(2)), two.query(update(1))])
  const victims = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason as unknown] : []))
  t.equal(victims.length, 1)
  t.match(toDatabaseError(victims[0]), { failure: 'transient', number: '40P01' })
  await Promise.all([one, two].map((client) => client.query('ROLLBACK')))

  await two.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM met')
  await one.query(update(1))
  t.match(toDatabaseError(await thrown(two, update(1))), { failure: 'transient', number: '40001' })
  await two.query('ROLLBACK')

  await one.query(`BEGIN; ${update(1)}`)
  const error = await thrown(two, `SET lock_timeout = '1ms'; ${update(1)}`)
  t.match(toDatabaseError(error), { failure: 'transient', number: '55P03' })
  await one.query('ROLLBACK')
  for (const state of ['40P01', '40001', '55P03']) t.equal(postgresFailure(state).nature, 'passing')
})

t.test('what ends the session is down, whatever its state', async (t) => {
  const role = `few_${process.pid}_${Math.random().toString(36).slice(2, 8)}`
  await db.rows(`CREATE ROLE ${role} LOGIN PASSWORD 'x' CONNECTION LIMIT 0`)
  t.teardown(() => db.rows(`DROP ROLE ${role}`))
  const url = Object.assign(new URL(db.url), { username: role, password: 'x' }).href
  const refused = new pg.Client(url)
  refused.on('error', () => undefined)
  const error = await refused.connect().catch((error: unknown) => error)
  t.match(toDatabaseError(error), { failure: 'down', number: '53300' })

  const idle = await db.connect()
  const gone = new Promise((resolve) => idle.on('error', resolve))
  await idle.query(`SET idle_in_transaction_session_timeout = '5ms'; BEGIN`)
  t.match(toDatabaseError(await gone), { failure: 'down', number: '25P03' })

  const cut = await db.connect()
  const ended = new Promise((resolve) => cut.on('error', resolve))
  const { rows } = await cut.query<{ pid: string }>('SELECT pg_backend_pid() AS pid')
  await db.rows('SELECT pg_terminate_backend($1)', [rows[0]?.pid])
  t.match(toDatabaseError(await ended), { failure: 'down', number: '57P01' })
  t.equal(stateOf(await ended), '57P01')
})
