import { readFile } from 'node:fs/promises'
import { openScriptConnection, runBatches, type ScriptConnection } from '@clinic-sync/clinic'
import type { Table } from '@clinic-sync/mapping'

const ROOT = new URL('../../../../', import.meta.url)
/** The clinic's tables, then what the migrations install. Broker, HTTP and roles are not what this suite is about. */
const FILES = [
  'packages/sqlserver-simulator/clinic-schema.sql',
  'migrations/sqlserver/01_sync_schema.sql',
  'migrations/sqlserver/02_sync_capture.sql',
  'migrations/sqlserver/03_sync_procedures.sql',
  'migrations/sqlserver/05_sync_apply.sql',
]

export interface Target {
  readonly url: string
  stop(): Promise<void>
}

/** Makes a database of its own on the server at `serverUrl`, migrated; `stop` drops it. */
export async function openDatabase(serverUrl: string, _mapped: readonly Table[]): Promise<Target> {
  const name = `tsql_contract_${process.pid}_${Date.now().toString(36)}`
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  const master = openScriptConnection(serverUrl)
  await master.batch(`CREATE DATABASE ${name}`)
  const drop = async () => {
    try {
      await dropOnceUnused(master, name)
    } finally {
      await master.close()
    }
  }
  const connection = openScriptConnection(url.href)
  try {
    for (const file of FILES)
      await runBatches(connection, withoutSequenceCache(await readFile(new URL(file, ROOT), 'utf8')))
  } catch (error) {
    await connection.close()
    await drop()
    throw error
  }
  await connection.close()
  return { url: url.href, stop: drop }
}

/**
 * SQL Server caches a sequence's numbers for the whole server: they grow across sessions. An engine that caches them for
 * each session hands out older numbers later, which no rule about versions survives; there the cache is left out.
 */
function withoutSequenceCache(sql: string): string {
  return sql.replace(/(CREATE SEQUENCE [^\n]*) CACHE \d+/, '$1 CACHE 1')
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
