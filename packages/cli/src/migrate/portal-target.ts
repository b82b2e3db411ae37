import { TABLE_NAMES } from '@clinic-sync/mapping'
import { DatabaseError, SyncError } from '@clinic-sync/sync'
import pg from 'pg'
import { lineAt, type MigrationFile } from './files.ts'
import type { MigrationTarget } from './target.ts'

/** Any number that nothing else in this database uses as an advisory lock: 'sync' in ASCII, then 1. */
const LOCK = '495857635841'

const EXISTS = "SELECT to_regclass('sync.migrations') IS NOT NULL AS there"

/** Connects to the portal for migrating. One connection, closed by `close`. */
export async function portalTarget(url: string): Promise<MigrationTarget> {
  let client: pg.Client
  try {
    // The URL may name a file, such as a certificate, that cannot be read.
    client = new pg.Client({ connectionString: url, application_name: 'clinic-sync migrate' })
    // A connection that dies between two queries must not end the process; the next query reports it.
    client.on('error', () => undefined)
    await client.connect()
  } catch (cause) {
    const number = sqlstate(cause)
    throw new DatabaseError('down', `The portal cannot be reached${number ? ` (${number})` : ''}.`, { number, cause })
  }
  /** Files applied before the file that creates sync.migrations: recorded as soon as it is there. */
  const unrecorded: MigrationFile[] = []
  return {
    async recorded() {
      const { rows: found } = await client.query<{ there: boolean }>(EXISTS)
      if (!found[0]?.there) return new Map()
      const { rows } = await client.query<{ name: string; checksum: string; at: string }>(
        "SELECT name, trim(checksum) AS checksum, to_char(applied_at, 'YYYY-MM-DD HH24:MI') AS at FROM sync.migrations",
      )
      return new Map(rows.map(({ name, checksum, at }) => [name, { checksum, at }]))
    },
    async lock() {
      await client.query('SELECT pg_advisory_lock($1)', [LOCK])
    },
    apply: (file) => applyInTransaction(client, file, unrecorded),
    async missingTables() {
      const { rows } = await client.query<{ name: string }>(
        "SELECT name FROM unnest($1::text[]) AS name WHERE to_regclass('public.' || name) IS NULL",
        [TABLE_NAMES],
      )
      return rows.map((row) => row.name)
    },
    close: () => client.end(),
  }
}

/** All or nothing: Postgres' DDL is transactional, so a file that fails leaves no trace. */
async function applyInTransaction(client: pg.Client, file: MigrationFile, unrecorded: MigrationFile[]): Promise<void> {
  await client.query('BEGIN')
  try {
    await client.query(file.sql)
    const { rows } = await client.query<{ there: boolean }>(EXISTS)
    const toRecord = [...unrecorded, file]
    if (rows[0]?.there)
      for (const { name, checksum } of toRecord)
        await client.query(
          `INSERT INTO sync.migrations (name, checksum) VALUES ($1, $2)
           ON CONFLICT (name) DO UPDATE SET checksum = excluded.checksum, applied_at = now()`,
          [name, checksum],
        )
    await client.query('COMMIT')
    unrecorded.splice(0, unrecorded.length, ...(rows[0]?.there ? [] : toRecord))
  } catch (cause) {
    await client.query('ROLLBACK').catch(() => undefined)
    throw new SyncError('SYNC_MIGRATION_FAILED', describe(file, cause), { cause })
  }
}

function describe(file: MigrationFile, error: unknown): string {
  const position = error instanceof pg.DatabaseError ? Number(error.position) : Number.NaN
  const line = Number.isFinite(position) ? `, line ${lineAt(file.sql, position - 1)}` : ''
  return `${file.path}${line}: ${plainMessage(error)}`
}

/** Postgres' messages of class 22 and 23 may quote a row's value; of those only the SQLSTATE is told. */
function plainMessage(error: unknown): string {
  const number = sqlstate(error)
  if (number === undefined) return error instanceof Error ? error.message : 'failed'
  if (/^2[23]/.test(number)) return `the data in the portal does not allow it (SQLSTATE ${number})`
  return `${error instanceof Error ? error.message : 'failed'} (SQLSTATE ${number})`
}

function sqlstate(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}
