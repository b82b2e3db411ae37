import { openScriptConnection, type ScriptConnection, toDatabaseError } from '@clinic-sync/clinic'
import { captureTriggers, tables } from '@clinic-sync/mapping'
import { type Engine, readEngine } from '../migrate/engine.ts'
import { bounded } from '@clinic-sync/operations'
import { clinicTrouble } from './trouble.ts'
import type { Trouble } from './session.ts'

/** What matters of a clinic before anything is installed. Null: the login may not see it. */
export interface ClinicSeen {
  readonly engine: Engine
  readonly version: string
  readonly edition: string | null
  readonly database: string
  readonly compatibilityLevel: number | null
  readonly isBrokerOn: boolean | null
  /** Whether SQL logins are refused (Windows logins only). */
  readonly windowsOnly: boolean | null
  readonly mayInstall: boolean | null
  readonly mayMakeLogins: boolean | null
  /** `dbo.tblpatients`, `dbo.tblpatients.Phone` */
  readonly missing: readonly string[]
  readonly isMigrated: boolean
  /** Rows by status in an original system's SyncQueue; null: there is none. */
  readonly original: ReadonlyMap<string, number> | null
  /** Minutes by which the server's wall clock is ahead of UTC. */
  readonly offsetMinutes: number | null
}

/** Connects and looks; changes nothing. Bounded by `patienceMs`. */
export async function lookAtClinic(
  url: string,
  patienceMs: number,
): Promise<{ seen: ClinicSeen } | { trouble: Trouble }> {
  const connection = openScriptConnection(url, { requestTimeout: patienceMs })
  const found = await bounded(
    'SQL Server',
    async () => {
      try {
        return await look(connection)
      } catch (error) {
        throw toDatabaseError(error, 'looking at the database')
      }
    },
    patienceMs,
  )
  // Not waited for: a server that hangs would hang this too.
  connection.close().catch(() => undefined)
  return 'facts' in found ? { seen: found.facts } : { trouble: clinicTrouble(found.error, url) }
}

type Ask = (sql: string) => Promise<readonly Record<string, unknown>[] | null>

async function look(connection: ScriptConnection): Promise<ClinicSeen> {
  const engine = await readEngine(connection)
  /** The rows, or null where this engine or this login has no answer. */
  const rows: Ask = async (sql) => {
    try {
      return await connection.batch(sql)
    } catch (error) {
      if (typeof (error as { number?: unknown }).number !== 'number') throw error
      return null
    }
  }
  const ask = async (sql: string) => (await rows(sql))?.[0] ?? {}
  const about = await ask(
    "SELECT CAST(SERVERPROPERTY('ProductVersion') AS nvarchar(100)) AS version, " +
      "CAST(SERVERPROPERTY('Edition') AS nvarchar(100)) AS edition, DB_NAME() AS name, " +
      "CAST(SERVERPROPERTY('IsIntegratedSecurityOnly') AS int) AS windowsOnly",
  )
  const database = await ask(
    'SELECT compatibility_level AS level, CAST(is_broker_enabled AS int) AS broker FROM sys.databases WHERE database_id = DB_ID()',
  )
  const rights = await ask(
    "SELECT IS_SRVROLEMEMBER(N'sysadmin') AS sysadmin, IS_SRVROLEMEMBER(N'securityadmin') AS security, IS_ROLEMEMBER(N'db_owner') AS owner",
  )
  const clock = await ask('SELECT DATEDIFF(minute, GETUTCDATE(), GETDATE()) AS ahead')
  const there = await ask(
    "SELECT OBJECT_ID(N'dbo.SyncQueue', N'U') AS queue, OBJECT_ID(N'sync.Migrations', N'U') AS migrations",
  )
  const isMigrated = typeof there.migrations === 'number'
  const hasOriginal = !isMigrated && typeof there.queue === 'number'
  const ahead = number(clock.ahead)
  const [sysadmin, security, owner] = [rights.sysadmin, rights.security, rights.owner].map(flag)
  return {
    engine,
    version: String(about.version),
    edition: typeof about.edition === 'string' ? about.edition : null,
    database: String(about.name),
    compatibilityLevel: number(database.level),
    isBrokerOn: flag(database.broker) ?? null,
    windowsOnly: flag(about.windowsOnly) ?? null,
    mayInstall: owner === undefined ? null : owner || sysadmin === true,
    mayMakeLogins: sysadmin === undefined ? null : sysadmin || security === true,
    missing: await missing(rows),
    isMigrated,
    original: hasOriginal ? await byStatus(connection) : null,
    // The two clocks are read a moment apart, and zones are whole quarters of an hour.
    offsetMinutes: ahead === null ? null : Math.round(ahead / 15) * 15,
  }
}

/** Tables that get a trigger, and every column of the mapping. */
async function missing(rows: Ask): Promise<string[]> {
  const wanted = new Map<string, Set<string>>(captureTriggers().map(({ table }) => [table, new Set<string>()]))
  const want = (table: string, names: readonly string[]) =>
    wanted.set(table, new Set([...(wanted.get(table) ?? []), ...names]))
  for (const table of tables) {
    want(table.clinic, [table.key.clinic, ...table.columns.map(({ clinic }) => clinic)])
    for (const source of table.sources) want(source.table, [source.key, ...source.columns.map(({ clinic }) => clinic)])
  }
  const views = new Set(tables.filter(({ clinicIsView }) => clinicIsView).map(({ clinic }) => clinic))
  const lacking: string[] = []
  for (const [table, names] of wanted) {
    const columns = [...names]
    const lengths = columns.map((name, i) => `, COL_LENGTH(N'dbo.${table}', N'${name}') AS c${i}`).join('')
    const [row = {}] = (await rows(`SELECT OBJECT_ID(N'dbo.[${table}]') AS id${lengths}`)) ?? []
    if (row.id === null || row.id === undefined) lacking.push(`dbo.${table}`)
    else if (views.has(table)) {
      // A view's own error says what it lacks; COL_LENGTH does not know views everywhere.
      for (const name of columns)
        if ((await rows(`SELECT [${name}] FROM dbo.[${table}] WHERE 1 = 0`)) === null)
          lacking.push(`dbo.${table}.${name}`)
    } else lacking.push(...columns.filter((_, i) => row[`c${i}`] === null).map((name) => `dbo.${table}.${name}`))
  }
  return lacking
}

async function byStatus(connection: ScriptConnection): Promise<ReadonlyMap<string, number>> {
  const rows = await connection.batch('SELECT Status, COUNT(*) AS n FROM dbo.SyncQueue GROUP BY Status').catch(() => [])
  return new Map(rows.map(({ Status, n }) => [String(Status), Number(n)]))
}

const number = (value: unknown): number | null => (typeof value === 'number' ? value : null)
const flag = (value: unknown): boolean | undefined =>
  value === 1 || value === true ? true : value === 0 || value === false ? false : undefined
