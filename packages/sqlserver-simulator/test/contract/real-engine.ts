import { readFile } from 'node:fs/promises'
import { openScriptConnection, runBatches, type ScriptConnection } from '@clinic-sync/clinic'
import { type Table, tables } from '@clinic-sync/mapping'
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
const ROLE = 'migrations/sqlserver/09_service_role.sql'

export interface Target {
  readonly url: string
  stop(): Promise<void>
}

/**
 * Makes a database of its own on the server at `serverUrl`, migrated; `stop` drops it.
 *
 * @param mapped the mapping that the portal's changes are applied by; where it is not the real one, its script is generated.
 */
export async function openDatabase(serverUrl: string, mapped: readonly Table[]): Promise<Target> {
  const name = `tsql_contract_${process.pid}_${Date.now().toString(36)}`
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  const master = openScriptConnection(serverUrl)
  await master.batch(`CREATE DATABASE ${name}`)
  const [engine] = await master.batch("SELECT CAST(SERVERPROPERTY('Babelfish') AS nvarchar(10)) AS x")
  const isBabelfish = engine?.x === '1'
  const fit = isBabelfish ? forBabelfish : (sql: string) => sql
  // A new database has what model has; nobody else is in it yet.
  if (!isBabelfish)
    await master.batch(`IF EXISTS (SELECT 1 FROM sys.databases WHERE name = N'${name}' AND is_broker_enabled = 0)
      ALTER DATABASE ${name} SET ENABLE_BROKER WITH ROLLBACK IMMEDIATE`)
  const drop = async () => {
    try {
      await dropOnceUnused(master, name)
    } finally {
      await master.close()
    }
  }
  const connection = openScriptConnection(url.href)
  try {
    for (const file of [...FILES, ...(isBabelfish ? [] : [BROKER]), ROLE]) {
      const generated = file === APPLYING && mapped !== tables
      await runBatches(
        connection,
        fit(generated ? applyingScript(mapped) : await readFile(new URL(file, ROOT), 'utf8')),
      )
    }
    // As in the simulator.
    if (!isBabelfish) await connection.batch("EXEC sync.UseDoorbell N'service-broker'")
  } catch (error) {
    await connection.close()
    await drop()
    throw error
  }
  await connection.close()
  return { url: url.href, stop: drop }
}

/**
 * SQL Server caches a sequence's numbers for the whole server: they grow across sessions. Babelfish caches them for each
 * session, and would hand out older numbers later, which no rule about versions survives. And it has no EXECUTE AS.
 */
function forBabelfish(sql: string): string {
  return sql
    .replace(/(CREATE SEQUENCE [^\n]*) CACHE \d+/, '$1 CACHE 1')
    .replaceAll(/\s+WITH EXECUTE AS OWNER(?=\s+AS\b)/g, '')
}

/** The server closes sessions a moment after their clients: DROP DATABASE (error: in use) is tried until then, for 10 s. */
async function dropOnceUnused(master: ScriptConnection, name: string): Promise<void> {
  const deadline = Date.now() + 10_000
  for (;;) {
    try {
      await master.batch(`DROP DATABASE ${name}`)
      return
    } catch (error) {
      if (Date.now() > deadline) throw error
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}
