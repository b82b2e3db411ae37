// Each fault that `trace` names, induced in a running sync and repaired again: what was sent meanwhile settles then.
import type { TraceResult } from '@clinic-sync/operations'
import t, { type Test } from 'tap'
import { tracing, until } from './support/tracing.ts'

const world = await tracing(t)
const { clinicSql, portalSql, simulator } = world
await world.startAll()

/** `leg hop kind` of each. */
const kinds = ({ faults }: TraceResult) => faults.map(({ leg, hop, kind }) => `${leg ?? '-'} ${hop ?? '-'} ${kind}`)
const came = ({ hops }: TraceResult) => hops.map(({ leg, hop }) => `${leg} ${hop}`)
const ALL = 11

/** A fault, induced and repaired: then the round is whole, and nothing of the trace that met it is left. */
const fault = (name: string, meet: (t: Test) => Promise<void>) =>
  t.test(name, async (t) => {
    await meet(t)
    await until('the round is whole again', async () => (await world.trace()).ok)
    await world.clean(t)
  })

fault('two at once do not confuse each other', async (t) => {
  const results = await Promise.all([world.trace(10), world.trace(10), world.trace(10)])
  for (const result of results) {
    t.strictSame(result.faults, [])
    t.equal(result.code, 0)
    t.equal(result.hops.length, ALL)
  }
})

fault('a trigger in the clinic that is switched off', async (t) => {
  await clinicSql('DISABLE TRIGGER sync.trg_sync_Canary ON sync.Canary')
  const result = await world.trace()
  t.strictSame(kinds(result), ['there captured trigger-disabled'])
  t.match(result.faults[0], { what: /trg_sync_Canary in the clinic is switched off/, todo: /^ENABLE TRIGGER sync/ })
  t.equal(result.code, 1)
  t.strictSame(
    came(result),
    ['captured', 'published', 'applied', 'settled'].map((hop) => `back ${hop}`),
  )
  t.match(result.untried, [{ leg: 'ruling' }])
  await clinicSql('ENABLE TRIGGER sync.trg_sync_Canary ON sync.Canary')
})

fault('a trigger in the portal that is switched off, or gone', async (t) => {
  const name = '"00_sync_capture_update"'
  const [made] = await portalSql(
    `SELECT pg_get_triggerdef(oid) AS text FROM pg_trigger WHERE tgrelid = 'sync.canary'::regclass AND tgname = '00_sync_capture_update'`,
  )
  await portalSql(`ALTER TABLE sync.canary DISABLE TRIGGER ${name}`)
  const off = await world.trace()
  t.strictSame(kinds(off), ['back captured trigger-disabled'])
  t.equal(came(off).length, 4, 'the clinic’s change has gone its way')
  await portalSql(`DROP TRIGGER ${name} ON sync.canary`)
  t.strictSame(kinds(await world.trace()), ['back captured trigger-missing'])
  await portalSql(String(made?.text))
})

fault('a trigger on the records themselves: the canary comes round, and it is said', async (t) => {
  await clinicSql('DISABLE TRIGGER dbo.trg_sync_tblwork ON dbo.tblwork')
  await portalSql('ALTER TABLE aligner_notes DISABLE TRIGGER "00_sync_capture_update"')
  const result = await world.trace()
  t.strictSame(kinds(result), ['- - captures', '- - captures'])
  t.match(result.faults, [{ what: /trg_sync_tblwork is switched off/ }, { what: /aligner_notes.*switched off/ }])
  t.equal(result.hops.length, ALL)
  t.equal(result.code, 1)
  t.match(await world.say(), /The canary came round in .* 2 things are dead/)
  await clinicSql('ENABLE TRIGGER dbo.trg_sync_tblwork ON dbo.tblwork')
  await portalSql('ALTER TABLE aligner_notes ENABLE TRIGGER "00_sync_capture_update"')
})

fault('the clinic’s doorbell does not ring: found out by ringing by hand', async (t) => {
  await clinicSql('DISABLE TRIGGER dbo.trg_SyncQueue_RingServiceBroker ON dbo.SyncQueue')
  const result = await world.trace()
  t.strictSame(kinds(result), ['there published doorbell'])
  t.match(result.faults[0], { what: /clinic's doorbell was not heard/, todo: /npm run sync -- doorbell/ })
  t.equal(result.hops.length, ALL, 'it goes on')
  t.equal(result.code, 1)
  await clinicSql('ENABLE TRIGGER dbo.trg_SyncQueue_RingServiceBroker ON dbo.SyncQueue')
})

fault('the portal’s doorbell does not ring', async (t) => {
  await portalSql('ALTER TABLE sync.queue DISABLE TRIGGER ring_listeners')
  const result = await world.trace()
  t.strictSame(kinds(result), ['back published doorbell'])
  t.match(result.faults[0], { what: /portal's doorbell was not heard/ })
  t.equal(result.hops.length, ALL)
  await portalSql('ALTER TABLE sync.queue ENABLE TRIGGER ring_listeners')
})

fault('the ingress is down: both rows wait, and go when it is back', async (t) => {
  await world.end('ingress')
  const result = await world.trace(1)
  t.strictSame(kinds(result), ['there published ingress-unreachable'])
  t.match(result.faults[0], { what: /No ingress answers at http/, todo: /Check that the ingress runs/ })
  t.strictSame(came(result), ['there captured'])
  t.match(result.untried, [{ leg: 'back' }, { leg: 'ruling' }])
  t.match(await world.say(1), /✗ No ingress answers[\s\S]*The canary did not come round\. One thing is dead/)
  await world.startIngress()
})

fault('the ingress refuses the operator’s token', async (t) => {
  await clinicSql('DISABLE TRIGGER dbo.trg_SyncQueue_RingServiceBroker ON dbo.SyncQueue')
  const result = await world.trace(1, { SYNC_OPERATOR_TOKEN: 'another-operator-token-012' })
  t.match(result.faults[0], { kind: 'ingress-unreachable', what: /does not accept this SYNC_OPERATOR_TOKEN/ })
  await clinicSql('ENABLE TRIGGER dbo.trg_SyncQueue_RingServiceBroker ON dbo.SyncQueue')
})

fault('nobody takes the clinic’s events', async (t) => {
  await world.end('sql-to-postgres')
  const result = await world.trace(1)
  t.strictSame(kinds(result), ['there applied consumer-down'])
  t.match(result.faults[0], {
    what: /Nobody takes the events sql-to-postgres: sync\.sql-to-postgres\.p\d has no consumer/,
    todo: /^Start sql-to-postgres/,
  })
  t.equal(came(result).length, 6, 'the other way is whole')
  t.match(result.untried, [{ leg: 'ruling', why: /dead already/ }])
  await world.start('sql-to-postgres')
})

fault('nobody takes the portal’s events', async (t) => {
  await world.end('postgres-to-sql')
  const result = await world.trace(1)
  t.strictSame(kinds(result), ['back applied consumer-down'])
  t.equal(came(result).length, 6)
  await world.start('postgres-to-sql')
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
  const session = await world.portalSession()
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

fault('an ingress of the version before, which does not ask for the canary', async (t) => {
  await world.end('ingress')
  await world.startIngress({
    clinic: (clinic) => ({
      ...clinic,
      async takeChanges(...asked) {
        const { changes, ...taken } = await clinic.takeChanges(...asked)
        const known = changes.filter(({ table }) => table !== 'canary')
        return { ...taken, changes: known, rows: taken.rows - changes.length + known.length }
      },
    }),
  })
  const result = await world.trace(1)
  t.strictSame(kinds(result)[0], 'there published not-taken')
  t.match(result.faults[0], { todo: /of a version that knows no canary/ })
  await world.end('ingress')
  await world.startIngress()
})
