import { openScriptConnection, runBatches, type ScriptConnection, toDatabaseError } from '@clinic-sync/clinic'
import { captureTriggers } from '@clinic-sync/mapping'
import { SyncError } from '@clinic-sync/sync'
import { readEngine } from './engine.ts'
import type { MigrationFile } from './files.ts'
import { LOCK_TIMEOUT, stillRunning, type MigrationTarget, type Recorded } from './target.ts'

const INVALID_OBJECT_NAME = 208
const PERMISSION_DENIED = 229
const LOCK_TIMED_OUT = '1222'
const MISSING_PROCEDURE = 2812
/** PRINT, and RAISERROR of a text: what a file says itself. Other messages are SQL Server's own remarks. */
const SAID = [0, 50_000]

/**
 * Connects to the clinic for migrating: one session, for the lock belongs to it, and so do what a file sets and the
 * transactions that it opens. A file is not one transaction here (some statements may not be in one); every file can be
 * run again instead.
 */
export async function clinicTarget(url: string): Promise<MigrationTarget> {
  let said: string[] = []
  const connection = openScriptConnection(url, {
    oneSession: true,
    onMessage: ({ number, message }) => void (SAID.includes(number) && said.push(message)),
  })
  return {
    recorded: () => recorded(connection),
    lock: (patience) => lock(connection, patience),
    async apply(file) {
      said = []
      await apply(connection, file)
      return said
    },
    missingTables: () => missingTables(connection),
    engine: () =>
      readEngine(connection).catch((error: unknown) => {
        throw toDatabaseError(error, 'asking the engine what it is')
      }),
    doorbell: () => doorbell(connection),
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
    if (numberOf(error) === PERMISSION_DENIED)
      throw new SyncError(
        'SYNC_MIGRATION_FAILED',
        "This login may not read sync.Migrations. Migrating takes one that owns the clinic's database (db_owner): name it in SQLSERVER_ADMIN_URL.",
        { cause: error },
      )
    // The first file creates the table.
    if (numberOf(error) === INVALID_OBJECT_NAME || (await isMissing(connection))) return new Map()
    throw toDatabaseError(error, 'reading sync.Migrations')
  }
}

/** Those of the clinic's own tables that get a trigger. A login that may not migrate might not see them: that is said first. */
async function missingTables(connection: ScriptConnection): Promise<readonly string[]> {
  await recorded(connection)
  const names = captureTriggers().map(({ table }) => table)
  const ids = names.map((name, i) => `OBJECT_ID(N'dbo.[${name}]', N'U') AS t${i}`)
  const [row = {}] = await connection.batch(`SELECT ${ids.join(', ')}`).catch((error: unknown) => {
    throw toDatabaseError(error, "looking for the clinic's tables")
  })
  return names.filter((_, i) => row[`t${i}`] === null).map((name) => `dbo.${name}`)
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
async function lock(connection: ScriptConnection, patience: number): Promise<void> {
  let held: unknown
  try {
    const rows = await connection.batch(
      "DECLARE @held int; EXEC @held = sp_getapplock @Resource = N'clinic-sync migrate', @LockMode = N'Exclusive', " +
        `@LockOwner = N'Session', @LockTimeout = ${patience}; SELECT @held AS held`,
    )
    held = rows[0]?.held
  } catch (error) {
    if (numberOf(error) !== MISSING_PROCEDURE) throw toDatabaseError(error, 'the lock for migrating')
    return
  }
  if (typeof held === 'number' && held < 0)
    throw new SyncError('SYNC_MIGRATION_FAILED', stillRunning('clinic', patience))
}

async function apply(connection: ScriptConnection, file: MigrationFile): Promise<void> {
  try {
    await connection.batch(`SET LOCK_TIMEOUT ${LOCK_TIMEOUT}`)
    await runBatches(connection, file.sql)
    await leftInOrder(connection, file)
    // Both are ours: a file's name and hex digits.
    const name = file.name.replaceAll("'", "''")
    await connection.batch(
      `DELETE FROM sync.Migrations WHERE Name = N'${name}';
       INSERT INTO sync.Migrations (Name, Checksum) VALUES (N'${name}', '${file.checksum}')`,
    )
  } catch (cause) {
    const error = toDatabaseError(cause, 'recording the file')
    const what = error.code === 'SYNC_DATABASE_DOWN' ? error.code : 'SYNC_MIGRATION_FAILED'
    const hint =
      'number' in error && error.number === LOCK_TIMED_OUT
        ? ' Somebody has a transaction open on what it has to change; run it again when that has ended.'
        : ''
    throw new SyncError(what, `${file.path}, ${error.message}${hint}`, { cause })
  }
}

/**
 * What a file may leave behind silently: NOEXEC, under which nothing is run any more, not even its record; and a
 * transaction, which ends with the session, and all that the file did with it.
 */
async function leftInOrder(connection: ScriptConnection, file: MigrationFile): Promise<void> {
  const [state] = await connection.batch('SELECT @@TRANCOUNT AS transactions')
  if (state === undefined)
    throw new SyncError(
      'SYNC_MIGRATION_FAILED',
      `${file.name} has left SET NOEXEC ON, without an error: from there on nothing of it was run.`,
    )
  if (state.transactions === 0) return
  await connection.batch('ROLLBACK TRANSACTION')
  throw new SyncError('SYNC_MIGRATION_FAILED', `${file.name} has left a transaction open; it was rolled back.`)
}

async function doorbell(connection: ScriptConnection): Promise<string> {
  try {
    const [row] = await connection.batch("SELECT Value FROM sync.Settings WHERE Name = N'Doorbell'")
    return row === undefined || row.Value === null ? 'none' : String(row.Value)
  } catch (error) {
    // Nothing is installed: a dry run of the first migration.
    if (numberOf(error) !== undefined) return 'none'
    throw toDatabaseError(error, 'reading sync.Settings')
  }
}

function numberOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('number' in error)) return undefined
  return typeof error.number === 'number' ? error.number : undefined
}
