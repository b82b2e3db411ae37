import {
  openScriptConnection,
  runBatches,
  type ScriptConnection,
  splitBatches,
  toDatabaseError,
} from '@clinic-sync/clinic'
import { SyncError } from '@clinic-sync/sync'
import type { MigrationFile } from './files.ts'
import type { MigrationTarget, Recorded } from './target.ts'

const INVALID_OBJECT_NAME = 208
/** A clinic's database is small: another migration that takes longer than this is stuck. Milliseconds. */
const LOCK_TIMEOUT = 60_000

/**
 * Connects to the clinic for migrating: one connection, so that the lock, which belongs to the session, ends with it.
 * A file is not one transaction here (some statements may not be in one); every file can be run again instead.
 */
export async function clinicTarget(url: string): Promise<MigrationTarget> {
  const connection = openScriptConnection(url)
  return {
    recorded: () => recorded(connection),
    lock: () => lock(connection),
    apply: (file) => apply(connection, file),
    close: () => connection.close(),
  }
}

async function recorded(connection: ScriptConnection): Promise<ReadonlyMap<string, Recorded>> {
  try {
    const rows = await connection.batch('SELECT Name, Checksum, AppliedAt FROM sync.Migrations')
    return new Map(
      rows.map(({ Name, Checksum, AppliedAt }) => {
        const at = AppliedAt instanceof Date ? AppliedAt.toISOString().slice(0, 16).replace('T', ' ') : 'unknown'
        return [String(Name), { checksum: String(Checksum).trim(), at }]
      }),
    )
  } catch (error) {
    // The first file creates the table.
    if (numberOf(error) === INVALID_OBJECT_NAME || (await isMissing(connection))) return new Map()
    throw toDatabaseError(error, 'reading sync.Migrations')
  }
}

/** For engines that number a missing schema in another way. */
async function isMissing(connection: ScriptConnection): Promise<boolean> {
  try {
    const [row] = await connection.batch("SELECT OBJECT_ID(N'sync.Migrations', N'U') AS id")
    return row !== undefined && row.id === null
  } catch {
    return false
  }
}

/** An application lock of the session. An engine without one (the simulator) has nobody else to migrate it. */
async function lock(connection: ScriptConnection): Promise<void> {
  let held: unknown
  try {
    const rows = await connection.batch(
      "DECLARE @held int; EXEC @held = sp_getapplock @Resource = N'clinic-sync migrate', @LockMode = N'Exclusive', " +
        `@LockOwner = N'Session', @LockTimeout = ${LOCK_TIMEOUT}; SELECT @held AS held`,
    )
    held = rows[0]?.held
  } catch (error) {
    if (numberOf(error) === undefined) throw toDatabaseError(error, 'the lock for migrating')
    return
  }
  if (typeof held === 'number' && held < 0)
    throw new SyncError('SYNC_MIGRATION_FAILED', 'Another migration of this clinic has been running for a minute.')
}

async function apply(connection: ScriptConnection, file: MigrationFile): Promise<void> {
  try {
    await runBatches(connection, file.sql)
    // Both are ours: a file's name and hex digits.
    const name = file.name.replaceAll("'", "''")
    await connection.batch(
      `DELETE FROM sync.Migrations WHERE Name = N'${name}';
       INSERT INTO sync.Migrations (Name, Checksum) VALUES (N'${name}', '${file.checksum}')`,
    )
  } catch (cause) {
    const { message, code } = toDatabaseError(cause, 'recording the file')
    const what = code === 'SYNC_DATABASE_DOWN' ? code : 'SYNC_MIGRATION_FAILED'
    throw new SyncError(what, `${file.path}, ${batchOf(file, message)}${message}`, { cause })
  }
}

/** Which batch (from 1) the line is in that the message begins with. */
function batchOf(file: MigrationFile, message: string): string {
  const line = Number(/^line (\d+):/.exec(message)?.[1] ?? Number.NaN)
  const batch = splitBatches(file.sql).filter((candidate) => candidate.line <= line).length
  return batch > 0 ? `batch ${batch}, ` : ''
}

function numberOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('number' in error)) return undefined
  return typeof error.number === 'number' ? error.number : undefined
}
