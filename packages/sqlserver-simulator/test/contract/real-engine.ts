import { readFile } from 'node:fs/promises'
import { openScriptConnection, runBatches, type ScriptConnection } from '@clinic-sync/clinic'
import { syncedTables, type Table } from '@clinic-sync/mapping'
import { fitForBabelfish } from '../../../demo/src/run/babelfish.ts'
import { applyingScript } from '../../../mapping/src/tsql/applying.ts'

const ROOT = new URL('../../../../', import.meta.url)
const APPLYING = 'migrations/sqlserver/05_sync_apply.sql'
/** The clinic's tables, then what the migrations install on every engine. The doorbells by HTTP need another server to call. */
const FILES = [
  'packages/sqlserver-simulator/clinic-schema.sql',
  'migrations/sqlserver/01_sync_schema.sql',
  'migrations/sqlserver/02_sync_capture.sql',
  'migrations/sqlserver/03_sync_procedures.sql',
  APPLYING,
  'migrations/sqlserver/06_doorbells.sql',
]
const BROKER = 'migrations/sqlserver/07_service_broker_doorbell.sql'
const DOORBELL_HEARTBEAT = 'migrations/sqlserver/10_doorbell_heartbeat.sql'
const WAIT_HEARTBEAT = 'migrations/sqlserver/11_wait_heartbeat.sql'
const ROLE = 'migrations/sqlserver/09_service_role.sql'

/** What texts are equal depends on it, and the simulator has no other. */
const SIMULATORS = 'Arabic_CI_AS'

/** The files as they are applied in order. (Babelfish has no Service Broker.) */
export const filesFor = (babelfish: boolean) => [
  ...FILES,
  ...(babelfish ? [ROLE] : [BROKER, ROLE, DOORBELL_HEARTBEAT]),
  WAIT_HEARTBEAT,
]

export interface Target {
  readonly url: string
  stop(): Promise<void>
}

/** A new, empty database on a server. `stop` drops it. */
export interface NewDatabase extends Target {
  readonly babelfish: boolean
  /** Runs a script of GO-separated batches, with what this engine lacks left out. @throws DatabaseError */
  script(sql: string): Promise<void>
  /** Runs a file of the repository. @throws DatabaseError */
  file(path: string): Promise<void>
  /** Runs one batch as it is. */
  batch(sql: string): Promise<readonly Record<string, unknown>[]>
}

/**
 * Makes a database of its own on the server at `serverUrl`.
 *
 * @param collation the database's; null: the simulator's, whatever the server's is. Babelfish gives a database no other
 *   collation than its own: there the texts of every table have it.
 */
export async function createDatabase(serverUrl: string, collation: string | null = null): Promise<NewDatabase> {
  const name = `tsql_contract_${process.pid}_${Date.now().toString(36)}`
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  const master = openScriptConnection(serverUrl)
  const [engine] = await master.batch("SELECT CAST(SERVERPROPERTY('Babelfish') AS nvarchar(10)) AS x")
  const babelfish = engine?.x === '1'
  const inIts = babelfish ? '' : ` COLLATE ${collation ?? SIMULATORS}`
  await retried(() => master.batch(`CREATE DATABASE ${name}${inIts}`), MODEL_IN_USE)
  // A new database has what model has; nobody else is in it yet.
  if (!babelfish)
    await master.batch(`IF EXISTS (SELECT 1 FROM sys.databases WHERE name = N'${name}' AND is_broker_enabled = 0)
      ALTER DATABASE ${name} SET ENABLE_BROKER WITH ROLLBACK IMMEDIATE`)
  const fit = (sql: string) => {
    if (!babelfish) return sql
    return fitForBabelfish(collation === null ? sql : inCollation(sql, collation))
  }
  const connection = openScriptConnection(url.href)
  const script = (sql: string) => runBatches(connection, fit(sql))
  return {
    url: url.href,
    babelfish,
    script,
    file: async (path) => script(await readFile(new URL(path, ROOT), 'utf8')),
    batch: (sql) => connection.batch(sql),
    async stop() {
      await connection.close()
      try {
        await dropOnceUnused(master, name)
      } finally {
        await master.close()
      }
    },
  }
}

/**
 * Makes a database of its own on the server at `serverUrl`, migrated; `stop` drops it.
 *
 * @param mapped the mapping that the portal's changes are applied by; where it is not the real one, its script is generated.
 */
export async function openDatabase(
  serverUrl: string,
  mapped: readonly Table[],
  collation: string | null = null,
): Promise<Target> {
  const database = await createDatabase(serverUrl, collation)
  try {
    for (const file of filesFor(database.babelfish)) {
      if (file === APPLYING && mapped !== syncedTables) await database.script(applyingScript(mapped))
      else await database.file(file)
    }
    // As in the simulator.
    if (!database.babelfish) await database.batch("EXEC sync.UseDoorbell N'service-broker'")
  } catch (error) {
    await database.stop()
    throw error
  }
  return database
}

/** Columns of tables, of table variables and of temporary tables, not those of OPENJSON, parameters and conversions. */
const TEXT_COLUMN =
  /(?<!ALTER COLUMN)((?:^|[\s,(])(?!@)(?:\w+|\[[^\]]+\]) n?(?:var)?char\((?:\d+|max)\))(?! *(?:COLLATE|'|AS\b|OUTPUT|=|\)))/gim

function inCollation(sql: string, collation: string): string {
  return sql
    .replaceAll('COLLATE DATABASE_DEFAULT', `COLLATE ${collation}`)
    .replace(TEXT_COLUMN, (column, text: string) =>
      /[\s,(](?:AS|SYSNAME|RETURNS) n?/i.test(text) ? column : `${text} COLLATE ${collation}`,
    )
}

/** Another test file is making a database from model at this moment. */
const MODEL_IN_USE = 1807

/** The server closes sessions a moment after their clients: DROP DATABASE (error: in use) is tried until then. */
const dropOnceUnused = (master: ScriptConnection, name: string) => retried(() => master.batch(`DROP DATABASE ${name}`))

/** Tries for 10 s. @param number the error that is worth it; by default every one. */
async function retried(work: () => Promise<unknown>, number?: number): Promise<void> {
  const deadline = Date.now() + 10_000
  for (;;) {
    try {
      await work()
      return
    } catch (error) {
      const other = number !== undefined && (error as { number?: unknown }).number !== number
      if (other || Date.now() > deadline) throw error
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}
