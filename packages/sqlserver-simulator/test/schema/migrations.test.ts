// The shipped migrations, sent to a simulator that has none: what each of them brings, and what stays away.
import { readFile } from 'node:fs/promises'
import { openScriptConnection, runBatches, type ScriptConnection } from '@clinic-sync/clinic'
import t, { type Test } from 'tap'
import { type Simulator, startSimulator } from '../../src/index.ts'
import { numbered } from '../contract/target.ts'

const MIGRATIONS = new URL('../../../../migrations/sqlserver/', import.meta.url)
const ALL_ENGINES = [
  '01_sync_schema.sql',
  '02_sync_capture.sql',
  '03_sync_procedures.sql',
  '05_sync_apply.sql',
  '06_doorbells.sql',
]
const [OLE, BROKER, ROLE] = [
  '04_webhook_notification_system.sql',
  '07_service_broker_doorbell.sql',
  '09_service_role.sql',
] as const

const text = (file: string) => readFile(new URL(file, MIGRATIONS), 'utf8')

function connect(t: Test, url: string): ScriptConnection {
  const connection = openScriptConnection(url)
  t.teardown(() => connection.close())
  return connection
}

async function open(t: Test, migrated = false): Promise<{ simulator: Simulator; operator: ScriptConnection }> {
  const simulator = await startSimulator({ migrated })
  t.teardown(() => simulator.stop())
  return { simulator, operator: connect(t, simulator.url) }
}

async function send(operator: ScriptConnection, ...files: readonly string[]): Promise<void> {
  for (const file of files) await runBatches(operator, await text(file))
}

const fact = async (operator: ScriptConnection, name: string) =>
  (await operator.batch('EXEC sync.Inspect')).find(({ Name }) => Name === name)?.Value

t.test('each doorbell is there once its file has been sent, and rings once it is chosen', async (t) => {
  const { operator } = await open(t)
  await send(operator, ...ALL_ENGINES)
  for (const doorbell of ['service-broker', 'ole-automation', 'rest-endpoint'])
    await t.rejects(operator.batch(`EXEC sync.UseDoorbell N'${doorbell}'`), numbered(51_212))
  await t.rejects(operator.batch('EXEC sync.WaitForChanges 1'), numbered(2812))
  await t.rejects(operator.batch('EXEC sp_NotifyAppOfSync'), numbered(2812))
  t.equal(await fact(operator, 'OleAutomation'), '0')
  t.equal(await fact(operator, 'BrokerQueue'), 'missing')

  await send(operator, BROKER, OLE)
  t.equal(await fact(operator, 'OleAutomation'), '1')
  t.equal(await fact(operator, 'BrokerQueue'), 'enabled')
  t.equal(await fact(operator, 'Doorbell'), 'none')
  for (const trigger of ['trg_SyncQueue_RingServiceBroker', 'trg_SyncQueue_NotifyApp'])
    t.equal(await fact(operator, `trigger:${trigger}`), 'disabled')
  await t.rejects(operator.batch('EXEC sync.WaitForChanges 1'), numbered(51_211))
  await operator.batch("EXEC sync.UseDoorbell N'service-broker'")
  t.equal(await fact(operator, 'trigger:trg_SyncQueue_RingServiceBroker'), 'enabled')
})

t.test('a file that is sent again makes its triggers anew, and keeps the choice', async (t) => {
  const { operator } = await open(t, true)
  await operator.batch('DISABLE TRIGGER dbo.trg_sync_tblpatients ON dbo.tblpatients')
  await operator.batch('DISABLE TRIGGER dbo.trg_SyncQueue_RingServiceBroker ON dbo.SyncQueue')
  await send(operator, '02_sync_capture.sql', BROKER, OLE)
  t.equal(await fact(operator, 'trigger:trg_sync_tblpatients'), 'enabled')
  t.equal(await fact(operator, 'trigger:trg_SyncQueue_RingServiceBroker'), 'enabled')
  t.equal(await fact(operator, 'trigger:trg_SyncQueue_NotifyApp'), 'disabled')
})

t.test('migrated, it has what a Windows SQL Server 2022 can have, and Service Broker rings', async (t) => {
  const { operator } = await open(t, true)
  t.equal(await fact(operator, 'Doorbell'), 'service-broker')
  t.equal(await fact(operator, 'trigger:trg_SyncQueue_NotifyAppByRest'), 'missing')
  t.equal(await fact(operator, 'migration:08_rest_endpoint_doorbell.sql'), undefined)
  t.match(await fact(operator, `migration:${OLE}`), /^[0-9a-f]{64}$/)
  await t.rejects(operator.batch("EXEC sync.UseDoorbell N'rest-endpoint'"), numbered(51_212))
  const [engine] = await operator.batch(
    "SELECT @@VERSION AS version, SERVERPROPERTY('EngineEdition') AS edition, SERVERPROPERTY('ProductMajorVersion') AS major",
  )
  t.notMatch(engine?.version, /linux/i)
  t.strictSame({ edition: engine?.edition, major: engine?.major }, { edition: '3', major: '16' })
})

t.test('the service login may execute nothing before its role is made, and never migrate', async (t) => {
  const { simulator, operator } = await open(t)
  const service = connect(t, simulator.serviceUrl)
  await send(operator, ...ALL_ENGINES)
  await t.rejects(service.batch('EXEC sync.OpenRows'), numbered(229, { message: /^The EXECUTE permission was denied/ }))
  await t.rejects(send(service, BROKER), { number: '262' } as unknown as Error)
  await t.rejects(service.batch('EXEC sync.WaitForChanges 1'), numbered(2812))
  await send(operator, ROLE)
  t.strictSame(await service.batch('EXEC sync.OpenRows'), [])
})
