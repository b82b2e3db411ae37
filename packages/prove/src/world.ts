import { randomBytes } from 'node:crypto'
import { mkdtempSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { migrate } from '@clinic-sync/cli'
import { openScriptConnection, runBatches } from '@clinic-sync/clinic'
import {
  brokerUrls,
  connectClinic,
  createPortalDatabase,
  loadSampleClinic,
  ownVhost,
  portalServiceUrl,
  type Releasers,
  switchDoorbell,
} from '@clinic-sync/demo'
import { startDevServices } from '@clinic-sync/dev-services'
import { syncsBack, tables } from '@clinic-sync/mapping'
import pg from 'pg'
import type { Server, Service } from './schedule/faults.ts'

export const TIME_ZONE = 'Asia/Baghdad'

/** Three servers with a clinic, a portal and a virtual host of our own. */
export interface World {
  readonly addresses: Readonly<Record<Server, string>>
  /** A server's address, with the login that a service has there: one with the rights that it needs, where we can make it. */
  readonly addressOf: (service: Service, server: Server) => string
  /** The role that doctors have in the portal: not the tables' owner, so that Row Level Security applies. */
  readonly doctors: string
  /** What plays the clinic's SQL Server, in one line for people. */
  readonly engine: string
  /** Whether Service Broker rings; if not, an ingress hears of the clinic by HTTP only. */
  readonly serviceBroker: boolean
  readonly folder: string
}

export interface WorldOptions {
  readonly release: Releasers
  readonly say: (line: string) => void
  readonly yes: boolean
  readonly env: NodeJS.ProcessEnv
  /** Load the demo's invented clinic first: 2,500 records that nobody edits. */
  readonly sample: boolean
}

const SCHEMA = new URL('../../sqlserver-simulator/clinic-schema.sql', import.meta.url)

/** Finds or starts the servers, and makes on each what this run needs; all of it is undone by `release`. */
export async function openWorld({ release, say, yes, env, sample }: WorldOptions): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), 'clinic-sync-prove-'))
  release.add('temporary folder', () => rm(folder, { recursive: true, force: true }))
  const found = await startDevServices({
    need: ['postgres', 'rabbit', 'sqlserver'],
    migrated: false,
    durable: false,
    yes,
    say,
    env,
  })
  release.add('development services', () => found.stop())
  const simulator = found.sqlserver.how.includes('simulator')
  const clinic = simulator ? found.sqlserver.url : await ownClinic(found.sqlserver.url, release)
  const portal = await createPortalDatabase(found.postgres.url)
  // Its role can go only once nothing of it is left.
  const doctors = `clinic_sync_prove_${randomBytes(4).toString('hex')}`
  release.add('portal role', () => execute(found.postgres.url, `DROP ROLE IF EXISTS ${doctors}`))
  release.add('portal database', () => portal.drop())
  const rabbit = await ownVhost(found.rabbit, release)

  await migrate({ side: 'clinic', url: clinic })
  await migrate({ side: 'portal', url: portal.url, withPortalTables: true })
  await execute(portal.url, doctorsRole(doctors))
  if (sample) await loadSample(clinic)
  const { managementUrl } = found.rabbit
  const portalServices = await portalServiceUrl(portal.url, release)
  const users = managementUrl === undefined ? null : await brokerUrls(rabbit, managementUrl, release)
  // On a server of somebody's that login knows nothing of our database.
  const clinicServices = (simulator ? found.sqlserver.serviceUrl : undefined) ?? clinic
  return {
    addresses: { clinic, portal: portal.url, rabbit },
    addressOf: (service, server) =>
      ({ clinic: clinicServices, portal: portalServices, rabbit: users?.[service] ?? rabbit })[server],
    doctors,
    engine: found.sqlserver.how,
    serviceBroker: (await switchDoorbell(clinic)) === 'service-broker',
    folder,
  }
}

/** Loads what nobody will edit. */
async function loadSample(url: string): Promise<void> {
  const clinic = await connectClinic(url)
  try {
    await loadSampleClinic(clinic)
  } finally {
    await clinic.close()
  }
}

/** A database of our own on a real engine, with the clinic's tables. */
async function ownClinic(serverUrl: string, release: Releasers): Promise<string> {
  const name = `clinic_sync_prove_${randomBytes(4).toString('hex')}`
  const server = openScriptConnection(serverUrl)
  release.add('clinic server', () => server.close())
  await server.batch(`CREATE DATABASE ${name}`)
  release.add('clinic database', () => dropOnceUnused(() => server.batch(`DROP DATABASE ${name}`)))
  const url = Object.assign(new URL(serverUrl), { pathname: `/${name}` }).href
  const connection = openScriptConnection(url)
  try {
    await runBatches(connection, await readFile(SCHEMA, 'utf8'))
  } finally {
    await connection.close()
  }
  return url
}

/** The server ends sessions a moment after their clients have: DROP DATABASE is tried until then, for 10 s. */
async function dropOnceUnused(drop: () => Promise<unknown>): Promise<void> {
  const deadline = performance.now() + 10_000
  for (;;) {
    try {
      await drop()
      return
    } catch (error) {
      if (performance.now() > deadline) throw error
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
}

/** A role that may write what doctors write, and nothing else; its policies are a portal's at its simplest. */
export function doctorsRole(role: string): string {
  const theirs = tables.filter(syncsBack).map(({ name }) => name)
  return [
    `CREATE ROLE ${role}`,
    `GRANT USAGE ON SCHEMA public TO ${role}`,
    `GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO ${role}`,
    ...theirs.flatMap((table) => [
      `GRANT SELECT, INSERT, UPDATE, DELETE ON public.${table} TO ${role}`,
      `CREATE POLICY prove ON public.${table} TO ${role} USING (true) WITH CHECK (true)`,
    ]),
  ].join(';\n')
}

async function execute(url: string, statements: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => undefined)
  await client.connect()
  try {
    await client.query(statements)
  } finally {
    await client.end()
  }
}
