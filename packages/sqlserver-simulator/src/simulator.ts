import { syncedTables, type Table } from '@clinic-sync/mapping'
import { watchCommits, type Written } from './engine/watch.ts'
import { restoreSnapshot, type Snapshot, takeSnapshot } from './engine/snapshot.ts'
import { OPERATOR, SERVICE_LOGIN, SERVICE_PASSWORD } from './engine/permissions.ts'
import { openDatabase } from './schema/open.ts'
import { Migrations } from './schema/migrations.ts'
import { Server } from './tds/server.ts'
import { SqlError } from './values/errors.ts'

export interface SimulatorOptions {
  /** 0, the default: any free port. */
  readonly port?: number
  /** 127.0.0.1 by default. */
  readonly host?: string
  /** The password of `sa`. */
  readonly password?: string
  /** Whether the schema `sync` is there at the start; true by default. */
  readonly migrated?: boolean
  /** Where it is not migrated: the original system's outbox, dbo.SyncQueue, is there, to be filled and taken over. */
  readonly original?: boolean
  /** The mapping that `sync.ApplyPortalChanges` goes by; for tests of other mappings. */
  readonly tables?: readonly Table[]
  /** Gets a line for what goes wrong inside the simulator; never a value of the clinic's. */
  readonly log?: (line: string) => void
}

export interface Simulator {
  /** `mssql://sa:…@127.0.0.1:port/clinic?encrypt=false` */
  readonly url: string
  readonly port: number
  /** The same for the least-privilege login that the migrations provide for. */
  readonly serviceUrl: string
  /** Batches and procedure calls received since the start; logins and the driver's own SETs after them are not counted. */
  queries(): number
  /** The latest of them, oldest first, with `?` for every value. */
  statements(): readonly { readonly connection: number; readonly text: string }[]
  /** Tells at each commit which rows of synced tables it wrote, for who measures: asking would cost what is measured. @returns ends it */
  watch(onCommit: (written: Written) => void): () => void
  /** Cuts every connection, as a server that dies; new ones are accepted. */
  dropConnections(): void
  /** As a backup of the database: nothing may be in flight. */
  backUp(): Snapshot
  /** As a restore of it: cuts every connection, and has everything as it was then. */
  restore(backup: Snapshot): Promise<void>
  /** From now on requests wait, as at a server that hangs, until `resume`. */
  pause(): void
  resume(): void
  /**
   * From now on requests of the services' login fail with this error, as at a server that is read-only (3906), has no room on its
   * disk (1105) or no memory (701): those for the procedures `of` (`sync.TakeChanges`), or all. null: no longer.
   */
  failWith(error: SimulatedError | null): void
  stop(): Promise<void>
}

export interface SimulatedError {
  readonly number: number
  readonly message: string
  readonly severity?: number
  readonly of?: readonly string[]
}

const DATABASE = 'clinic'

/**
 * Starts a development stand-in for the clinic's SQL Server: the clinic's tables, empty, and the sync's, in memory, behind
 * TDS 7.4 on a socket. Nothing outlives `stop`.
 */
export async function startSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const {
    port: wanted = 0,
    host = '127.0.0.1',
    password = 'Simulator_1',
    migrated = true,
    original = false,
    tables = syncedTables,
    log = () => {},
  } = options
  const db = openDatabase(DATABASE, tables)
  const server = new Server({ db, migrations: new Migrations(db, migrated, original), password, log })
  const port = await server.listen(wanted, host)
  const urlFor = (login: string, secret: string) =>
    `mssql://${login}:${encodeURIComponent(secret)}@${host}:${port}/${DATABASE}?encrypt=false`
  return {
    url: urlFor(OPERATOR, password),
    serviceUrl: urlFor(SERVICE_LOGIN, SERVICE_PASSWORD),
    port,
    queries: () => server.queries,
    statements: () => server.statements,
    watch: (onCommit) =>
      watchCommits(
        db,
        tables
          .filter(({ clinicIsView, isOurs }) => !clinicIsView && !isOurs)
          .map(({ clinic }) => db.table('dbo', clinic)),
        onCommit,
      ),
    dropConnections: () => server.dropConnections(),
    backUp: () => takeSnapshot(db),
    async restore(backup) {
      server.dropConnections()
      // What they were at is undone by then.
      await new Promise((resolve) => setImmediate(resolve))
      restoreSnapshot(db, backup)
    },
    pause: () => server.pause(),
    resume: () => server.resume(),
    failWith: (error) =>
      server.failWith(
        error && new SqlError(error.number, error.message, { severity: error.severity ?? 16, abort: 'batch' }),
        error?.of ?? null,
      ),
    stop: () => server.stop(),
  }
}
