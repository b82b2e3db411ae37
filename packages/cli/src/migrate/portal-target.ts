import { TABLE_NAMES } from '@clinic-sync/mapping'
import { portalAddress } from '@clinic-sync/portal'
import { DatabaseError, SyncError } from '@clinic-sync/sync'
import pg from 'pg'
import { lineAt, type MigrationFile } from './files.ts'
import { LOCK_TIMEOUT, type MigrationTarget, type Recorded, stillRunning } from './target.ts'

/** Any number that nothing else in this database uses as an advisory lock: 'sync' in ASCII, then 1. */
const LOCK = '495857635841'

const LOCK_NOT_AVAILABLE = '55P03'
const PERMISSION_DENIED = '42501'

const EXISTS = "SELECT to_regclass('sync.migrations') IS NOT NULL AS there"

/** Connects to the portal for migrating. One connection, closed by `close`. */
export async function portalTarget(url: string): Promise<MigrationTarget> {
  const client = new pg.Client({ ...portalAddress(url), application_name: 'clinic-sync migrate' })
  try {
    // A connection that dies between two queries must not end the process; the next query reports it.
    client.on('error', () => undefined)
    await client.connect()
  } catch (cause) {
    const number = sqlstate(cause)
    if (number?.startsWith('28'))
      throw new DatabaseError('down', `The portal refused the login (${number}).`, {
        code: 'SYNC_LOGIN_REFUSED',
        number,
        cause,
      })
    throw new DatabaseError('down', `The portal cannot be reached${number ? ` (${number})` : ''}.`, { number, cause })
  }
  /** Files applied before the file that creates sync.migrations: recorded as soon as it is there. */
  const unrecorded: MigrationFile[] = []
  return {
    recorded: () => wrapped('reading sync.migrations', () => recorded(client)),
    lock: (patience) => wrapped('the lock for migrating', () => lock(client, patience)),
    async apply(file) {
      await applyInTransaction(client, file, unrecorded)
      return []
    },
    missingTables: () =>
      wrapped("looking for the portal's tables", async () => {
        const { rows } = await client.query<{ name: string }>(
          "SELECT name FROM unnest($1::text[]) AS name WHERE to_regclass('public.' || name) IS NULL",
          [TABLE_NAMES],
        )
        return rows.map((row) => row.name)
      }),
    close: () => client.end(),
  }
}

async function recorded(client: pg.Client): Promise<ReadonlyMap<string, Recorded>> {
  const { rows: found } = await client.query<{ there: boolean }>(EXISTS)
  if (!found[0]?.there) return new Map()
  const { rows } = await client.query<{ name: string; checksum: string; at: string }>(
    "SELECT name, trim(checksum) AS checksum, to_char(applied_at, 'YYYY-MM-DD HH24:MI') AS at FROM sync.migrations",
  )
  return new Map(rows.map(({ name, checksum, at }) => [name, { checksum, at }]))
}

/** Holds for the session; what the files wait for afterwards is bounded too. */
async function lock(client: pg.Client, patience: number): Promise<void> {
  await client.query(`SET lock_timeout = ${patience}`)
  try {
    await client.query('SELECT pg_advisory_lock($1)', [LOCK])
  } catch (cause) {
    if (sqlstate(cause) !== LOCK_NOT_AVAILABLE) throw cause
    throw new SyncError('SYNC_MIGRATION_FAILED', stillRunning('portal', patience), { cause })
  }
  await client.query(`SET lock_timeout = ${LOCK_TIMEOUT}`)
}

/** @throws DatabaseError `down`: whatever it is, nothing was done, and an operator can cure it. */
async function wrapped<T>(doing: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (cause instanceof SyncError) throw cause
    const number = sqlstate(cause)
    if (number === PERMISSION_DENIED)
      throw new SyncError(
        'SYNC_MIGRATION_FAILED',
        `This role lacks the right for ${doing}. Migrating takes the one that owns the portal's tables, on Supabase postgres: name it in POSTGRES_ADMIN_URL.`,
        { cause },
      )
    const message = isConnectionLost(cause)
      ? `There is no connection to the portal for ${doing} (${number ?? 'it was lost'}).`
      : `The portal failed ${doing} (SQLSTATE ${number}).`
    throw new DatabaseError('down', message, { number, cause })
  }
}

/** All or nothing: Postgres' DDL is transactional, so a file that fails leaves no trace. */
async function applyInTransaction(client: pg.Client, file: MigrationFile, unrecorded: MigrationFile[]): Promise<void> {
  try {
    await client.query('BEGIN')
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
    const code = isConnectionLost(cause) ? 'SYNC_DATABASE_DOWN' : 'SYNC_MIGRATION_FAILED'
    throw new SyncError(code, describe(file, cause), { cause })
  }
}

function describe(file: MigrationFile, error: unknown): string {
  const position = error instanceof pg.DatabaseError ? Number(error.position) : Number.NaN
  const line = Number.isFinite(position) ? `, line ${lineAt(file.sql, position - 1)}` : ''
  return `${file.path}${line}: ${plainMessage(error)}`
}

/** The driver's and Node's own errors, and those with which the server ends a session (classes 08 and 57P). */
const isConnectionLost = (error: unknown) => !(error instanceof pg.DatabaseError) || /^(08|57P)/.test(error.code ?? '')

/** Postgres' messages of class 22 and 23 may quote a row's value; of those only the SQLSTATE is told. */
function plainMessage(error: unknown): string {
  const number = sqlstate(error)
  if (number === undefined || !(error instanceof pg.DatabaseError))
    return error instanceof Error ? error.message : 'failed'
  if (number === LOCK_NOT_AVAILABLE)
    return `somebody has a transaction open on what it has to change; run it again when that has ended (SQLSTATE ${number})`
  if (number === PERMISSION_DENIED)
    return `this role may not do it; migrating takes the one that owns the portal's tables, on Supabase postgres: name it in POSTGRES_ADMIN_URL (SQLSTATE ${number})`
  if (/^2[23]/.test(number)) return `the data in the portal does not allow it (SQLSTATE ${number})`
  return `${error instanceof Error ? error.message : 'failed'} (SQLSTATE ${number})`
}

function sqlstate(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}
