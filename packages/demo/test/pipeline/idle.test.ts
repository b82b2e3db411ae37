import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import t from 'tap'
import { addCase, startPipeline } from './pipeline.ts'

const QUIET_MS = 6_000

t.test('idle, the services send no query to either database', async (t) => {
  const pipeline = await startPipeline(t)
  await addCase(pipeline.clinic, 1)
  await pipeline.settled()
  // Nothing of the test's own may talk to the portal's database while it counts: it looks from another one.
  const name = new URL(pipeline.portalUrl).pathname.slice(1)
  const elsewhere = new URL(pipeline.portalUrl)
  elsewhere.pathname = '/postgres'
  const observer = new pg.Client({ connectionString: elsewhere.href })
  await observer.connect()
  t.teardown(() => observer.end())

  const portalQueries = async () => {
    const { rows } = await observer.query(
      'SELECT (xact_commit + xact_rollback)::int AS n FROM pg_stat_database WHERE datname = $1',
      [name],
    )
    return rows[0].n as number
  }
  // A session's last numbers appear up to a second later.
  await delay(1_500)
  const before = { clinic: pipeline.simulator.queries(), portal: await portalQueries() }
  await delay(QUIET_MS)
  t.equal(pipeline.simulator.queries() - before.clinic, 0, 'queries to the clinic')
  // The statistics of a session that has just ended, or of autovacuum, are no query of ours: sessions say more.
  t.equal((await portalQueries()) - before.portal, 0, 'transactions in the portal')

  await pipeline.clinic.request().query(`UPDATE dbo.tblpatients SET Phone = N'0770 000 0000' WHERE PersonID = 1`)
  await pipeline.until('the change arrives', async () => {
    const { rows } = await pipeline.portal.query('SELECT phone FROM patients WHERE person_id = 1')
    return rows[0]?.phone === '0770 000 0000'
  })
  t.ok(pipeline.simulator.queries() > before.clinic, 'the counter counts')
})
