import pg from 'pg'
import t from 'tap'
import { startPostgres } from '../src/postgres.ts'
import { testPostgres } from '../src/testing.ts'

t.setTimeout(400_000)
const env = { PATH: process.env.PATH }

async function ask(url: string, query: string): Promise<unknown> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const { rows } = await client.query<unknown[]>({ text: query, rowMode: 'array' })
    return rows[0]?.[0]
  } finally {
    await client.end()
  }
}

t.test('two embedded instances at once, one as in production, one for tests', async (t) => {
  const [one, two] = await Promise.all([startPostgres({ env }), startPostgres({ env, durable: false })])
  t.teardown(() => Promise.all([one.stop(), two.stop()]))
  t.match(one.how, /^Postgres: embedded \d+\.\d+ on port \d+$/)
  t.equal(await ask(one.url, 'SHOW fsync'), 'on')
  t.equal(await ask(two.url, 'SHOW fsync'), 'off')
  t.equal(await ask(one.url, 'SHOW listen_addresses'), '127.0.0.1')
  t.equal(await ask(one.url, 'SHOW server_encoding'), 'UTF8')
  const stranger = new URL(one.url)
  stranger.password = 'guessed'
  await t.rejects(ask(stranger.href, 'SELECT 1'), { code: '28P01' }, 'the password matters')

  await ask(one.url, 'CREATE TABLE kept AS SELECT 1')
  await one.restart?.()
  t.equal(await ask(one.url, 'SELECT count(*)::int FROM kept'), 1, 'a restart keeps the data')
  await one.stop()
  await t.rejects(ask(one.url, 'SELECT 1'), { code: 'ECONNREFUSED' })
  t.equal(await ask(two.url, 'SELECT 1'), 1, 'and the other one is unharmed')
})

t.test('POSTGRES_URL comes first, and its password is not said', async (t) => {
  const service = await startPostgres({ env: { POSTGRES_URL: 'postgres://somebody:secret@db.example:6543/postgres' } })
  t.equal(service.how, 'Postgres: postgres://db.example:6543/postgres (POSTGRES_URL)')
})

t.test('a test has a database of its own, dropped at its end with whoever is still connected', async (t) => {
  const server = await testPostgres(t)
  let name = ''
  await t.test('an inner test', async (t) => {
    const own = await testPostgres(t)
    name = own.name
    t.not(own.name, server.name)
    const left = new pg.Client({ connectionString: own.url })
    left.on('error', () => undefined)
    await left.connect()
  })
  t.equal(await ask(server.url, `SELECT count(*)::int FROM pg_database WHERE datname = '${name}'`), 0)
})
