import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import t from 'tap'
import { addCase, preparePipeline } from './pipeline.ts'

const QUIET_MS = 5_000
/** Postgres adds a session's last transactions to its statistics up to ten seconds later. */
const STATISTICS_MS = 10_500

t.test('idle, the services send no query to either database, and log nothing', async (t) => {
  // Where nobody is: whether there was something to tell is looked at all the same.
  const pipeline = await (await preparePipeline(t)).start('info', { ALERT_WEBHOOK_URL: 'http://127.0.0.1:9/alerts' })
  await addCase(pipeline.clinic, 1)
  await pipeline.settled()
  // Nothing of the test's own may talk to the portal's database while it counts: it looks from another one.
  const name = new URL(pipeline.portalUrl).pathname.slice(1)
  const elsewhere = new URL(pipeline.portalUrl)
  elsewhere.pathname = '/postgres'
  const observer = new pg.Client({ connectionString: elsewhere.href })
  await observer.connect()
  t.teardown(() => observer.end())

  /** When a session last began a query, and how many transactions the portal's database has seen. */
  const portalWork = async () => {
    const { rows } = await observer.query<{ quiet: number; transactions: number }>(
      `SELECT (SELECT extract(epoch FROM clock_timestamp() - max(query_start)) * 1000 FROM pg_stat_activity
                WHERE datname = $1 AND backend_type = 'client backend')::float AS quiet,
              (xact_commit + xact_rollback)::int AS transactions
       FROM pg_stat_database WHERE datname = $1`,
      [name],
    )
    return { quiet: rows[0]?.quiet ?? Number.POSITIVE_INFINITY, transactions: rows[0]?.transactions ?? 0 }
  }
  await pipeline.until('the portal has been quiet', async () => (await portalWork()).quiet > STATISTICS_MS)
  const before = { clinic: pipeline.simulator.queries(), portal: await portalWork(), logs: await pipeline.logs() }
  await delay(QUIET_MS)
  const ready = await fetch(`${pipeline.ingressUrl}/readyz`)
  const after = await portalWork()
  t.equal(pipeline.simulator.queries() - before.clinic, 0, 'queries to the clinic')
  t.equal(after.transactions - before.portal.transactions, 0, 'transactions in the portal')
  t.ok(after.quiet >= before.portal.quiet + QUIET_MS - 100, 'nor has a query begun there')
  t.equal(await pipeline.logs(), before.logs, 'log lines')
  t.equal(ready.status, 200, 'it is ready, and saying so costs no query')

  await pipeline.clinic.request().query(`UPDATE dbo.tblpatients SET Phone = N'0770 000 0000' WHERE PersonID = 1`)
  await pipeline.until('the change arrives', async () => {
    const { rows } = await pipeline.portal.query('SELECT phone FROM patients WHERE person_id = 1')
    return rows[0]?.phone === '0770 000 0000'
  })
  t.ok(pipeline.simulator.queries() > before.clinic, 'the counter counts')
})
