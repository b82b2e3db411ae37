import type { MigrationFile } from '../migrate/files.ts'
import { type Area, type Check, checksOf, counted } from './check.ts'

/** What is recorded of a file that has been applied. */
export type Recorded = ReadonlyMap<string, string | null>

/**
 * Whether every file is in the database as it is here.
 *
 * @param files those that this installation wants.
 * @param known names of all files that there are, wanted or not.
 */
export function migrationChecks(
  area: Area & ('clinic' | 'portal'),
  files: readonly MigrationFile[],
  known: ReadonlySet<string>,
  recorded: Recorded,
): Check[] {
  const { ok, warn, fail } = checksOf(area)
  const title = 'The migrations are applied'
  const missing = files.filter(({ name }) => !recorded.has(name)).map(({ name }) => name)
  const changed = files.filter(({ name, checksum }) => recorded.has(name) && recorded.get(name)?.trim() !== checksum)
  const older = changed.filter(({ generated }) => generated).map(({ name }) => name)
  const edited = changed.filter(({ generated }) => !generated).map(({ path }) => path)
  const unknown = [...recorded.keys()].filter((name) => !known.has(name))
  const checks: Check[] = []
  if (missing.length + older.length > 0) {
    const found = [
      missing.length > 0 ? `missing: ${missing.join(', ')}` : '',
      older.length > 0 ? `older than here: ${older.join(', ')}` : '',
    ]
    checks.push(fail('migrations', title, found.filter(Boolean).join('; '), `npm run sync -- migrate ${area}`))
  }
  if (edited.length > 0)
    checks.push(
      fail(
        'migrations.edited',
        'No migration was edited after it was applied',
        `not as it was applied: ${edited.join(', ')}`,
        'Restore the file as it was applied, and put the change into a new file with a higher number.',
      ),
    )
  if (unknown.length > 0)
    checks.push(
      warn(
        'migrations.newer',
        'This installation knows all that the database has',
        `the database has had ${unknown.join(', ')}, which is not here`,
        'Update clinic-sync on this machine to the version that migrated the database.',
      ),
    )
  return checks.length > 0 ? checks : [ok('migrations', title, counted(files.length, 'file'))]
}
