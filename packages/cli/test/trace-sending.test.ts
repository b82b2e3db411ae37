// What `trace` says where a change is not captured, not heard of, or not sent: each fault induced in a running sync, and repaired.
import t from 'tap'
import { ALL, came, faultsOf, kinds, tracing } from './support/tracing.ts'

const world = await tracing(t)
const { clinicSql, portalSql } = world
const fault = faultsOf(t, world)
let ingress = await world.startIngress()
await world.startConsumers()

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
  await ingress.close()
  const result = await world.trace(1)
  t.strictSame(kinds(result), ['there published ingress-unreachable'])
  t.match(result.faults[0], { what: /No ingress answers at http/, todo: /Check that the ingress runs/ })
  t.strictSame(came(result), ['there captured'])
  t.match(result.untried, [{ leg: 'back' }, { leg: 'ruling' }])
  t.match(await world.say(1), /✗ No ingress answers[\s\S]*The canary did not come round\. One thing is dead/)
  ingress = await world.startIngress()
})

fault('the ingress refuses the operator’s token', async (t) => {
  await clinicSql('DISABLE TRIGGER dbo.trg_SyncQueue_RingServiceBroker ON dbo.SyncQueue')
  const result = await world.trace(1, { SYNC_OPERATOR_TOKEN: 'another-operator-token-012' })
  t.match(result.faults[0], { kind: 'ingress-unreachable', what: /does not accept this SYNC_OPERATOR_TOKEN/ })
  await clinicSql('ENABLE TRIGGER dbo.trg_SyncQueue_RingServiceBroker ON dbo.SyncQueue')
})

fault('an ingress of the version before, which does not ask for the canary', async (t) => {
  await ingress.close()
  ingress = await world.startIngress({
    more: ({ clinic }) => ({
      clinic: {
        ...clinic,
        async takeChanges(...asked) {
          const { changes, ...taken } = await clinic.takeChanges(...asked)
          const known = changes.filter(({ table }) => table !== 'canary')
          return { ...taken, changes: known, rows: taken.rows - changes.length + known.length }
        },
      },
    }),
  })
  const result = await world.trace(1)
  t.strictSame(kinds(result)[0], 'there published not-taken')
  t.match(result.faults[0], { todo: /of a version that knows no canary/ })
  await ingress.close()
  ingress = await world.startIngress()
})
