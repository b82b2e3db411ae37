// What `trace` says where a change is sent and not applied, or that is not said: each fault induced in a running sync, and repaired.
import t from 'tap'
import { came, faultsOf, kinds, tracing } from './support/tracing.ts'

const world = await tracing(t)
const { clinicSql, portalSql, simulator } = world
const fault = faultsOf(t, world)
await world.startIngress()
await world.startConsumers()

fault('nobody takes the clinic’s events', async (t) => {
  await world.endConsumers('sql-to-postgres')
  const result = await world.trace(1)
  t.strictSame(kinds(result), ['there applied consumer-down'])
  t.match(result.faults[0], {
    what: /Nobody takes the events sql-to-postgres: sync\.sql-to-postgres\.p\d has no consumer/,
    todo: /^Start sql-to-postgres/,
  })
  t.equal(came(result).length, 6, 'the other way is whole')
  t.match(result.untried, [{ leg: 'ruling', why: /dead already/ }])
  await world.startConsumers('sql-to-postgres')
})

fault('nobody takes the portal’s events', async (t) => {
  await world.endConsumers('postgres-to-sql')
  const result = await world.trace(1)
  t.strictSame(kinds(result), ['back applied consumer-down'])
  t.equal(came(result).length, 6)
  await world.startConsumers('postgres-to-sql')
})

fault('a consumer that cannot use its database waits', async (t) => {
  simulator.failWith({ number: 3906, message: 'read-only', of: ['sync.ApplyPortalChanges'] })
  const result = await world.trace(2)
  t.strictSame(kinds(result), ['back applied consumer-paused'])
  t.match(result.faults[0], { what: /error 3906.*postgres-to-sql waits until that is over/s })
  simulator.failWith(null)
})

fault('taken and refused for good, in the portal: no dead letter stays', async (t) => {
  await portalSql('ALTER TABLE sync.canary ADD CONSTRAINT no_canary CHECK (clinic_token IS NULL) NOT VALID')
  const result = await world.trace()
  t.strictSame(kinds(result).slice(0, 1), ['there applied dead'])
  t.match(result.faults[0], { what: /The portal refuses it for good: .*23514/ })
  await world.clean(t)
  await portalSql('ALTER TABLE sync.canary DROP CONSTRAINT no_canary')
})

fault('taken and refused for good, in the clinic', async (t) => {
  // As the table's owner would have to: the rows that are there must hold it.
  await clinicSql('UPDATE sync.Canary SET PortalToken = NULL')
  await world.clean(t)
  await clinicSql('ALTER TABLE sync.Canary ADD CONSTRAINT CK_No_Canary CHECK (LEN(PortalToken) < 3)')
  const result = await world.trace()
  t.strictSame(kinds(result), ['back applied dead'])
  t.match(result.faults[0], { what: /The clinic refuses it for good/ })
  await world.clean(t)
  await clinicSql('ALTER TABLE sync.Canary DROP CONSTRAINT CK_No_Canary')
})

fault('taken, and held up by somebody’s open transaction', async (t) => {
  const session = await world.portalSession(t)
  await session.query('BEGIN; SELECT FROM sync.canary FOR UPDATE')
  const result = await world.trace(2)
  t.strictSame(kinds(result), ['there applied retrying', 'back captured locked'])
  t.match(result.faults[0], { what: /locked in the portal.*sql-to-postgres tries again by itself/s })
  await session.query('ROLLBACK')
})

fault('applied, and nobody can say so in the clinic’s outbox', async (t) => {
  simulator.failWith({ number: 3906, message: 'read-only', of: ['sync.SettleChanges'] })
  const result = await world.trace(2)
  t.match(kinds(result)[0], 'there settled ingress-lacks')
  t.match(result.faults[0], { what: /nobody says so in the clinic's outbox.*The ingress lacks/s })
  simulator.failWith(null)
})

fault('a database that was restored: nothing is sent', async (t) => {
  const count = async () => (await clinicSql('SELECT COUNT(*) AS n FROM dbo.SyncQueue'))[0]?.n
  const before = await count()
  await portalSql("SELECT sync.hold_clinic_changes('restored')")
  const portals = await world.trace()
  t.strictSame(kinds(portals), ['- - restored'])
  t.match(portals.faults[0], { todo: /after-restore/ })
  t.equal(portals.untried.length, 3)
  await portalSql('SELECT sync.hold_clinic_changes(NULL)')
  await clinicSql("EXEC sync.HoldPortalChanges @Why = 'repair'")
  t.strictSame(kinds(await world.trace()), ['- - restored'])
  t.equal(await count(), before)
  await clinicSql('EXEC sync.HoldPortalChanges @Why = NULL')
})
