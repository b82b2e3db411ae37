import type { Side } from '@clinic-sync/contracts'
import { SyncError } from '@clinic-sync/sync'
import { clinicTarget } from './clinic-target.ts'
import { type MigrationFile, migrationFiles } from './files.ts'
import { portalTarget } from './portal-target.ts'
import type { Recorded } from './target.ts'

export interface MigrateOptions {
  readonly side: Side
  /** SQLSERVER_URL or POSTGRES_URL. The login needs the right to create schemas, tables and triggers. */
  readonly url: string
  /** Says what would be done and does nothing. */
  readonly dryRun?: boolean
  /** Portal: also applies the file with the portal's own tables, for those who start without them. */
  readonly withPortalTables?: boolean
  /** Gets one line a file, and a last one. */
  readonly onLine?: (line: string) => void
  /** Reads the files from this folder instead (tests). */
  readonly folder?: string
}

export interface Migrated {
  /** Files that were applied, or with `dryRun` would be, in order. */
  readonly applied: readonly string[]
  /** Files that had been applied before. */
  readonly skipped: readonly string[]
}

/** The file with the portal's own tables; a real portal has them already. */
const PORTAL_TABLES = /portal_tables/

/**
 * Brings a side's schema `sync` up to date: runs the migration files that it has not seen, and the generated ones that have
 * changed with the mapping, in order, one at a time. Safe to run at any time and from several places at once.
 *
 * @throws SyncError `SYNC_MIGRATION_EDITED` if a hand-written file was changed after it was applied (nothing is done then);
 *   `SYNC_MIGRATION_FAILED` at the first error, naming the file and its line (files before it stay applied);
 *   `SYNC_DATABASE_DOWN` if the database cannot be reached.
 */
export async function migrate(options: MigrateOptions): Promise<Migrated> {
  const { side, url, dryRun = false, withPortalTables = false, onLine = () => undefined } = options
  const files = (await migrationFiles(side, options.folder)).filter(
    (file) => withPortalTables || !PORTAL_TABLES.test(file.name),
  )
  const target = await (side === 'clinic' ? clinicTarget(url) : portalTarget(url))
  try {
    const missing = withPortalTables ? [] : ((await target.missingTables?.()) ?? [])
    if (missing.length > 0)
      throw new SyncError(
        'SYNC_MIGRATION_FAILED',
        `The portal has no table ${missing.join(', ')}: is this its database? To create the portal's tables, add --with-portal-tables.`,
      )
    // Looking first without the lock keeps "up to date" quick and a dry run harmless.
    let todo = pending(files, await target.recorded())
    if (todo.length > 0 && !dryRun) {
      await target.lock()
      todo = pending(files, await target.recorded())
    }
    for (const file of todo) {
      const started = performance.now()
      if (!dryRun) await target.apply(file)
      onLine(`${side}: ${file.name} ${dryRun ? 'would be applied' : `applied in ${since(started)}`}`)
    }
    if (todo.length === 0) onLine(`${side}: up to date (${files.length} files)`)
    const applied = todo.map((file) => file.name)
    return { applied, skipped: files.map((file) => file.name).filter((name) => !applied.includes(name)) }
  } finally {
    await target.close()
  }
}

const since = (started: number) => `${Math.round(performance.now() - started)} ms`

function pending(files: readonly MigrationFile[], recorded: ReadonlyMap<string, Recorded>): MigrationFile[] {
  return files.filter((file) => {
    const before = recorded.get(file.name)
    if (before === undefined) return true
    if (before.checksum === file.checksum) return false
    if (!file.generated)
      throw new SyncError(
        'SYNC_MIGRATION_EDITED',
        `${file.path} was changed after it was applied (${before.at}): nothing was done.`,
      )
    return true
  })
}
