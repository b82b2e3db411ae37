import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { migrate } from '@clinic-sync/cli'
import { startDevServices } from '@clinic-sync/dev-services'
import { listenForArrivals } from './live/arrivals.ts'
import { isBabelfish, migrationsForBabelfish } from './run/babelfish.ts'
import { runBackfill } from './run/backfill.ts'
import { connectClinic } from './run/clinic-pool.ts'
import { ownVhost } from './run/own-vhost.ts'
import { createPortalDatabase } from './run/portal-database.ts'
import { prepareClinic } from './run/prepare-clinic.ts'
import type { Releasers } from './run/releasers.ts'
import { serverZone } from './run/server-zone.ts'
import { brokerUrls, portalServiceUrl } from './run/service-logins.ts'
import { type Addresses, type Services, startServices } from './run/services.ts'
import { writeSettings } from './run/settings-file.ts'
import { switchDoorbell } from './run/switch-doorbell.ts'
import type { Screen } from './screen.ts'
import type { Stage } from './show.ts'

export interface DemoOptions {
  readonly screen: Screen
  /** Gets everything that is started, as soon as it is. */
  readonly release: Releasers
  /** Asks a person; true means go on. */
  readonly confirm: (question: string) => Promise<boolean>
  /** `--yes`: nothing is asked, here or by what finds the services. */
  readonly yes: boolean
  /** What the demo runs shows nothing either; for tests. Default false. */
  readonly quiet?: boolean
}

export interface Demo {
  readonly addresses: Addresses
  readonly managementUrl: string | undefined
  readonly folder: string
  /** For `npm run sync -- --env-file`. */
  readonly settingsFile: string
  readonly services: Services
  readonly clinic: Awaited<ReturnType<typeof connectClinic>>
  readonly arrivals: Awaited<ReturnType<typeof listenForArrivals>>
}

/** Starts everything, loads the sample clinic and backfills the portal. @throws Error in words for people */
export async function startDemo({ screen, release, confirm, yes, quiet = false }: DemoOptions): Promise<Demo> {
  // In one step with the line after it: an end in between would leave the folder.
  const folder = mkdtempSync(join(tmpdir(), 'clinic-sync-demo-'))
  release.add('temporary folder', () => rm(folder, { recursive: true, force: true }))

  screen.section('Starting what is needed')
  const found = await startDevServices({
    need: ['postgres', 'rabbit', 'sqlserver'],
    // A clinic that has worked for years before the sync comes to it.
    migrated: false,
    yes,
    say: (line) => screen.line(`  ${line}`),
  })
  release.add('development services', () => found.stop())
  const simulator = found.sqlserver.how.includes('simulator')
  if (simulator)
    screen.line(screen.faint('  The SQL Server is a simulator: it speaks the real protocol, but it is no SQL Server.'))
  const portalDatabase = await createPortalDatabase(found.postgres.url)
  release.add('portal database', () => portalDatabase.drop())
  const prepared = {
    clinic: found.sqlserver.url,
    clinicServices: found.sqlserver.serviceUrl ?? found.sqlserver.url,
    portal: portalDatabase.url,
    rabbit: await ownVhost(found.rabbit, release),
  }

  screen.section('Preparing the two databases')
  const clinic = await connectClinic(prepared.clinic)
  release.add('clinic connection', () => clinic.close())
  const loaded = await prepareClinic({ url: prepared.clinic, clinic, simulator, confirm })
  screen.pair(
    'clinic',
    Object.entries(loaded)
      .map(([table, rows]) => `${rows} ${table}`)
      .join(', '),
  )
  const onLine = (line: string) => screen.line(screen.faint(`  ${line}`))
  const adapted = (await isBabelfish(clinic)) ? { folder: await migrationsForBabelfish(folder) } : {}
  await migrate({ side: 'clinic', url: prepared.clinic, onLine, ...adapted })
  await migrate({ side: 'portal', url: prepared.portal, withPortalTables: true, onLine })
  const doorbell = await switchDoorbell(prepared.clinic)
  onLine(`clinic: ${doorbell === 'http' ? 'nothing in the database rings' : `the doorbell ${doorbell} is switched on`}`)

  const { managementUrl } = found.rabbit
  const addresses: Addresses = {
    ...prepared,
    portalServices: await portalServiceUrl(prepared.portal, release),
    ...(managementUrl !== undefined && {
      rabbitUsers: await brokerUrls(prepared.rabbit, managementUrl, release),
    }),
  }
  onLine('logins: each service has its own, with the rights that it needs')

  screen.section('Starting the services')
  const services = await startServices(addresses, { doorbell, timeZone: await serverZone(clinic) }, folder, release)
  const settingsFile = await writeSettings(services.settings, folder)
  screen.pair('ingress', services.ingressUrl)
  screen.pair('consumers', `sql-to-postgres, postgres-to-sql (logs in ${folder})`)

  screen.section('Bringing the clinic into the empty portal: npm run sync -- backfill')
  await unlessDied(services, runBackfill(services.settings, folder, release, quiet))

  const arrivals = await listenForArrivals(addresses.portal, true)
  release.add('portal listener', () => arrivals.close())
  return { addresses, managementUrl: found.rabbit.managementUrl, folder, settingsFile, services, clinic, arrivals }
}

/** What the demo shows, on what runs here. @throws Error with the last log lines of a service that has ended meanwhile. */
export const stageOf = ({ addresses, services, clinic, arrivals }: Demo): Stage => ({
  people: { clinic, portal: arrivals, ring: services.ring },
  clinicUrl: addresses.clinic,
  portalUrl: addresses.portal,
  timeZone: services.settings.CLINIC_TIME_ZONE,
  during: (work) => unlessDied(services, work),
})

/** @throws Error with the last log lines of a service that has ended meanwhile. */
async function unlessDied<T>(services: Services, work: Promise<T>): Promise<T> {
  const died = services.died.then((child): never => {
    throw new Error(`${child.name} has ended. Its last log lines:\n${child.tail()}`)
  })
  return Promise.race([work, died])
}
