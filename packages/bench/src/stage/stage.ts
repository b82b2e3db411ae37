import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { migrate } from '@clinic-sync/cli'
import {
  brokerUrls,
  connectClinic,
  createPortalDatabase,
  portalServiceUrl,
  type Releasers,
  switchDoorbell,
} from '@clinic-sync/demo'
import { startPostgres, startRabbit } from '@clinic-sync/dev-services'
import type mssql from 'mssql'
import pg from 'pg'
import { Crew } from './crew.ts'
import { type ClinicServer, startClinicServer } from './simulator.ts'

/** Three servers of the run's own, and our services, which are not started yet. */
export interface Stage {
  readonly server: ClinicServer
  /** As staff, with all rights. */
  readonly clinic: mssql.ConnectionPool
  /** As the tables' owner. */
  readonly portal: pg.Pool
  readonly addresses: { readonly clinic: string; readonly portal: string; readonly rabbit: string }
  readonly managementUrl: string | undefined
  readonly crew: Crew
  readonly folder: string
  /** What was measured on, a line each, for people. */
  readonly servers: readonly string[]
}

export interface StageOptions {
  /** Gets everything that is started, as soon as it is. */
  readonly release: Releasers
  readonly say: (line: string) => void
  readonly yes: boolean
}

/**
 * Starts the servers as they are in production: Postgres with fsync and autovacuum, RabbitMQ without busy waiting, the simulator
 * in a process of its own. Never those of the environment: a benchmark fills and empties its databases.
 *
 * @throws Error in words for people
 */
export async function openStage({ release, say, yes }: StageOptions): Promise<Stage> {
  const folder = mkdtempSync(join(tmpdir(), 'clinic-sync-bench-'))
  release.add('temporary folder', () => rm(folder, { recursive: true, force: true }))
  const postgres = await startPostgres({ ways: ['embedded', 'private', 'docker'], yes, say })
  release.add('Postgres', () => postgres.stop())
  const rabbit = await startRabbit({ ways: ['private', 'docker', 'package'], yes, say })
  release.add('RabbitMQ', () => rabbit.stop())
  const server = await startClinicServer(folder)
  release.add('clinic', () => server.stop())
  const database = await createPortalDatabase(postgres.url)
  release.add('portal database', () => database.drop())

  const addresses = { clinic: server.url, portal: database.url, rabbit: rabbit.url }
  await migrate({ side: 'clinic', url: server.url })
  await migrate({ side: 'portal', url: database.url, withPortalTables: true })
  if ((await switchDoorbell(server.url)) !== 'service-broker') throw new Error('The clinic has no Service Broker.')
  const { managementUrl } = rabbit
  const portalService = await portalServiceUrl(database.url, release)
  const users = managementUrl === undefined ? undefined : await brokerUrls(rabbit.url, managementUrl, release)
  const clinic = await connectClinic(server.url)
  release.add('clinic connection', () => clinic.close())
  const portal = new pg.Pool({ connectionString: database.url, max: 4 })
  portal.on('error', () => undefined)
  release.add('portal connection', () => portal.end())
  const crew = new Crew({
    folder,
    settings: (service) => ({
      RABBITMQ_URL: users?.[service] ?? rabbit.url,
      ...(service !== 'sql-to-postgres' && { SQLSERVER_URL: server.serviceUrl }),
      ...(service !== 'postgres-to-sql' && { POSTGRES_URL: portalService }),
    }),
  })
  release.add('services', () => crew.stopAll())
  return {
    server,
    clinic,
    portal,
    addresses,
    managementUrl,
    crew,
    folder,
    servers: [postgres.how, rabbit.how, 'SQL Server: the development simulator (not a real SQL Server)'],
  }
}
