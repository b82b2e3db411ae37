import { randomBytes } from 'node:crypto'
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { migrate } from '@clinic-sync/cli'
import { createPortalDatabase, type Releasers, switchDoorbell } from '@clinic-sync/demo'
import { startPostgres } from '@clinic-sync/dev-services'
import { type RabbitNodes, type SmallDisk, smallDisk, startRabbitNodes } from '@clinic-sync/dev-services/chaos'
import { doctorsRole, type Server, TIME_ZONE } from '@clinic-sync/prove/parts'
import { type Simulator, startSimulator } from '@clinic-sync/sqlserver-simulator'
import pg from 'pg'
import { openBalancer } from './balancer.ts'
import { MOODS } from './moods.ts'
import { patiently } from './patience.ts'
import { WRITE_LOG } from './write-log.ts'

/** Room for what the run writes and for a backlog; it is filled by a file when it shall run full. Megabytes. */
const DISK_MB = 600
/** Few enough that they can be used up in a second. */
const CONNECTIONS = 60

/** Three servers that are this run's alone, so that they may be broken: never those of POSTGRES_URL, RABBITMQ_URL, SQLSERVER_URL. */
export interface World {
  readonly seed: number
  readonly timeZone: string
  /** As owners. */
  readonly addresses: Readonly<Record<Server, string>>
  /** For the services: the clinic's least-privilege login. */
  readonly forServices: Readonly<Record<Server, string>>
  /** The role that doctors have in the portal. */
  readonly doctors: string
  readonly postgres: { restart(): Promise<void>; readonly serverUrl: string; readonly database: string }
  readonly clinic: Simulator
  readonly rabbit: RabbitNodes
  /** What holds the portal's tables; or why it is no disk of its own. */
  readonly disk: SmallDisk | string
  readonly folder: string
}

export interface WorldOptions {
  readonly seed: number
  readonly release: Releasers
  readonly say: (line: string) => void
  /** Nodes of RabbitMQ: 1, or 3 for a cluster. */
  readonly nodes: number
  /** Whether the portal's tables get a file system of their own. */
  readonly ownDisk: boolean
}

/** Starts the servers, and makes on each what a run needs; all of it is undone by `release`. */
export async function openWorld({ seed, release, say, nodes, ownDisk }: WorldOptions): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), 'clinic-sync-chaos-'))
  release.add('temporary folder', () => rm(folder, { recursive: true, force: true }))
  const disk = ownDisk ? await smallDisk(DISK_MB) : 'this part of the suite goes without'
  if (typeof disk !== 'string') release.add('small disk', () => disk.close())
  const postgres = await startPostgres({
    ways: ['embedded', 'private'],
    // A crash of the server shall lose nothing that was committed; the machine itself does not crash.
    settings: { fsync: 'off', full_page_writes: 'off', max_connections: String(CONNECTIONS) },
  })
  release.add('Postgres', () => postgres.stop())
  say(postgres.how)
  const { restart } = postgres
  if (restart === undefined) throw new Error('a Postgres of our own cannot be started here')
  const rabbit = await startRabbitNodes(nodes)
  release.add('RabbitMQ', () => rabbit.stop())
  say(`RabbitMQ: ${rabbit.version}, ${nodes === 1 ? 'one node' : `${nodes} nodes in a cluster`} of its own`)
  await traceAll(rabbit)
  const balancer = await openBalancer(rabbit.nodes.map(({ port }) => port))
  release.add('load balancer', () => balancer.close())
  const clinic = await startSimulator({ migrated: false })
  release.add('clinic', () => clinic.stop())
  say(`SQL Server: the development simulator (not a real SQL Server) on port ${clinic.port}`)

  const portal = await createPortalDatabase(postgres.url)
  const database = new URL(portal.url).pathname.slice(1)
  if (typeof disk !== 'string')
    await execute(
      postgres.url,
      `CREATE TABLESPACE chaos LOCATION '${disk.folder}'`,
      `ALTER DATABASE ${database} SET TABLESPACE chaos`,
    )
  await migrate({ side: 'clinic', url: clinic.url })
  await migrate({ side: 'portal', url: portal.url, withPortalTables: true })
  const doctors = `clinic_sync_chaos_${randomBytes(4).toString('hex')}`
  await execute(portal.url, doctorsRole(doctors), WRITE_LOG, MOODS)
  if ((await switchDoorbell(clinic.url)) !== 'service-broker') throw new Error('the clinic has no Service Broker')
  const addresses = { clinic: clinic.url, portal: portal.url, rabbit: `amqp://guest:guest@127.0.0.1:${balancer.port}` }
  return {
    seed,
    timeZone: TIME_ZONE,
    addresses,
    forServices: { ...addresses, clinic: clinic.serviceUrl },
    doctors,
    postgres: { restart, serverUrl: postgres.url, database },
    clinic,
    rabbit,
    disk,
    folder,
  }
}

/** The nodes copy what is published to whoever listens: see `Tap`. A node that has been started again does not, until it is told anew. */
export async function traceAll({ nodes }: RabbitNodes): Promise<void> {
  await Promise.all(nodes.map((node) => patiently(() => node.control('trace_on'))))
}

/** Runs statements one by one: some may not share a transaction. */
export async function execute(url: string, ...statements: readonly string[]): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 })
  client.on('error', () => undefined)
  await client.connect()
  try {
    for (const statement of statements) await client.query(statement)
  } finally {
    await client.end().catch(() => undefined)
  }
}
