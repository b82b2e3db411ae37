import { openScriptConnection, ringDoorbell } from '@clinic-sync/clinic'
import { testClinic } from '@clinic-sync/dev-services/testing'
import t from 'tap'
import { useDoorbell } from '../src/doorbell/use.ts'
import { type Engine, whyNot } from '../src/migrate/engine.ts'
import { migrate } from '../src/migrate/index.ts'
import { freshClinic } from './support/migrating.ts'

const FIRST = '01_sync_schema.sql'
const WINDOWS_2022: Engine = { majorVersion: 16, edition: 3, linux: false, babelfish: false }

t.test('what each engine can, and what it would take', async (t) => {
  const can = (doorbell: Parameters<typeof whyNot>[1], engine: Partial<Engine>) =>
    t.equal(whyNot({ ...WINDOWS_2022, ...engine }, doorbell), null, `${doorbell} ${JSON.stringify(engine)}`)
  const cannot = (doorbell: Parameters<typeof whyNot>[1], engine: Partial<Engine>, why: RegExp) =>
    t.match(whyNot({ ...WINDOWS_2022, ...engine }, doorbell), why)
  for (const engine of [{}, { linux: true }, { edition: 4 }, { edition: 8 }, { majorVersion: 13 }])
    can('service-broker', engine)
  cannot('service-broker', { edition: 5 }, /Azure SQL Database has no Service Broker/)
  for (const engine of [{}, { edition: 2, majorVersion: 13 }, { edition: 4 }]) can('ole-automation', engine)
  cannot('ole-automation', { linux: true }, /on Windows, and this one runs on Linux/)
  cannot('ole-automation', { edition: 8 }, /on Windows/)
  for (const engine of [{ majorVersion: 17 }, { majorVersion: 17, linux: true }]) can('rest-endpoint', engine)
  cannot('rest-endpoint', {}, /SQL Server 2025 \(version 17\), and this is version 16/)
  for (const doorbell of ['service-broker', 'ole-automation', 'rest-endpoint'] as const)
    cannot(doorbell, { babelfish: true, majorVersion: 17 }, /Babelfish/)
})

/** Stands in for the three files: what these hold is for other tests. */
const forDoorbell = (doorbell: string) =>
  `-- Made up.\n-- Doorbell: ${doorbell}\n\nSET NOCOUNT ON\nGO\n-- Doorbell: nobody's\nSELECT 1\nGO\n`

async function withDoorbells(t: Parameters<typeof freshClinic>[0]) {
  const clinic = await freshClinic(t, { only: [FIRST] })
  await clinic.write('04_ole.sql', forDoorbell('ole-automation'))
  await clinic.write('06_every.sql', 'SELECT 1\nGO\n-- Doorbell: rest-endpoint\nSELECT 2\n')
  await clinic.write('07_broker.sql', forDoorbell('service-broker'))
  await clinic.write('08_rest.sql', forDoorbell('rest-endpoint'))
  await clinic.write('09_service_role.sql', 'SELECT 1\n')
  return clinic
}

t.test(
  'only the chosen doorbell’s file is applied; the others are left out, with the reason, and not recorded',
  async (t) => {
    const { run, lines, recorded, babelfish } = await withDoorbells(t)
    const others = ['04_ole.sql', '07_broker.sql', '08_rest.sql']
    const dry = await run({ doorbell: 'http', dryRun: true })
    const saidFirst = [...lines]
    lines.length = 0
    t.same(await run({ doorbell: 'http' }), dry)
    t.same(dry.leftOut, others)
    const leftOut = (all: readonly string[]) => all.filter((line) => line.includes(' is left out: '))
    t.same(leftOut(lines), leftOut(saidFirst), 'a dry run gives the same reasons')
    t.ok(
      lines.includes(
        'clinic: 04_ole.sql is left out: it is for the doorbell ole-automation, and CLINIC_DOORBELL is http',
      ),
    )
    t.same(await recorded(), [FIRST, '06_every.sql', '09_service_role.sql'])
    t.notMatch(lines.at(-1), /npm run sync -- doorbell/, 'with http nothing is to be switched on')

    // Chosen later, though its number is lower than those of applied files; but only where the engine can.
    lines.length = 0
    const switched = await run({ doorbell: 'service-broker' })
    if (babelfish) {
      t.same(switched.applied, [])
      t.match(lines.join('\n'), /07_broker\.sql is left out: CLINIC_DOORBELL is service-broker, but Babelfish lacks it/)
      return
    }
    t.same(switched.applied, ['07_broker.sql', '09_service_role.sql'], 'and its procedures are granted to the services')
    t.match(lines.at(-1), /no doorbell is switched on, and CLINIC_DOORBELL is service-broker.*npm run sync -- doorbell/)
  },
)

t.test(
  'a doorbell that the engine lacks is left out with what it would take, and is not to be switched on',
  async (t) => {
    const { run, lines, real } = await withDoorbells(t)
    const { leftOut } = await run({ doorbell: 'rest-endpoint' })
    // SQL Server 2025 has it.
    if (real && !leftOut.includes('08_rest.sql')) return
    t.match(lines.join('\n'), /08_rest\.sql is left out: CLINIC_DOORBELL is rest-endpoint, but .*takes SQL Server/)
    t.notMatch(lines.at(-1), /npm run sync -- doorbell/)
  },
)

t.test('a doorbell that is switched on still, though another is chosen, is said', async (t) => {
  const { run, query, lines } = await withDoorbells(t)
  await run({ doorbell: 'none' })
  t.notMatch(lines.at(-1), /npm run sync -- doorbell/)
  await query("INSERT INTO sync.Settings (Name, Value) VALUES (N'Doorbell', N'ole-automation')")
  await run({ doorbell: 'none' })
  t.match(lines.at(-1), /ole-automation is switched on, and CLINIC_DOORBELL is none.*npm run sync -- doorbell/)
})

t.test('the shipped files: another doorbell is installed, and granted, and can be switched on', async (t) => {
  const simulator = await testClinic(t, { migrated: false })
  const applied = async (doorbell: 'service-broker' | 'ole-automation') =>
    (await migrate({ side: 'clinic', url: simulator.url, doorbell })).applied
  t.notOk((await applied('service-broker')).includes('04_webhook_notification_system.sql'))
  t.same(await applied('ole-automation'), ['04_webhook_notification_system.sql', '09_service_role.sql'])
  t.same(await applied('service-broker'), [], 'what is installed stays')
  const connection = openScriptConnection(simulator.url)
  t.teardown(() => connection.close())
  await useDoorbell(connection, { doorbell: 'ole-automation', ingressUrl: 'http://127.0.0.1:1', secret: 'x' })
  t.match(await ringDoorbell(connection), { rang: false, doorbell: 'ole-automation', answer: /connect/ })
})

t.test('a doorbell that there is not is a mistake in the file', async (t) => {
  const { run, write } = await freshClinic(t, { only: [FIRST] })
  await write('07_bell.sql', '-- Doorbell: church\nSELECT 1\n')
  await t.rejects(run(), { code: 'SYNC_MIGRATION_FAILED', message: /07_bell\.sql.*"church"/ })
})
