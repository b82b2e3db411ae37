import type { Side } from '@clinic-sync/contracts'
import { SyncError } from '@clinic-sync/sync'
import { type ClinicDoorbell, inDatabase, leaveOut, type LeftOut } from './choose.ts'
import { clinicTarget } from './clinic-target.ts'
import { type MigrationFile, migrationFiles } from './files.ts'
import { portalTarget } from './portal-target.ts'
import type { Recorded } from './target.ts'
import { askAsService } from './up-to-date.ts'

export interface MigrateOptions {
  readonly side: Side
  /** The clinic's or the portal's. The login needs the right to create schemas, tables and triggers. */
  readonly url: string
  /** Clinic: CLINIC_DOORBELL. The files of other doorbells are left out. Default `service-broker`, as the setting's. */
  readonly doorbell?: ClinicDoorbell
  /**
   * The URL is the services' own, since no other is set: it may well not install. Where all is up to date, that is found out with
   * what that login may see, and nothing else is needed.
   */
  readonly asService?: boolean
  /** Says what would be done and does nothing. */
  readonly dryRun?: boolean
  /** Portal: also applies the file with the portal's own tables, for those who start without them. */
  readonly withPortalTables?: boolean
  /** Gets one line a file that there is something to say about, and a last one. */
  readonly onLine?: (line: string) => void
  /** Reads the files from this folder instead (tests). */
  readonly folder?: string
  /** How long to wait for another migration. A schema is small: what takes longer than a minute is stuck. Milliseconds. */
  readonly patience?: number
}

export interface Migrated {
  /** Files that were applied, or with `dryRun` would be, in order. */
  readonly applied: readonly string[]
  /** Files that had been applied before. */
  readonly skipped: readonly string[]
  /** Files of doorbells that were not chosen, or that the engine cannot have. */
  readonly leftOut: readonly string[]
}

/** The file with the portal's own tables; a real portal has them already. */
const PORTAL_TABLES = /portal_tables/
/** Grants the services what is installed: applied again where something is installed later. */
const GRANTS = /service_role/

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
  const doorbell = options.doorbell ?? 'service-broker'
  const files = (await migrationFiles(side, options.folder)).filter(
    (file) => withPortalTables || !PORTAL_TABLES.test(file.name),
  )
  if (options.asService === true) {
    const migrated = await nothingToDo(side, url, files, doorbell, onLine)
    if (migrated !== null) return migrated
  }
  const target = await (side === 'clinic' ? clinicTarget(url) : portalTarget(url))
  try {
    const creates = side === 'portal' && withPortalTables
    const missing = creates ? [] : ((await target.missingTables?.()) ?? [])
    if (missing.length > 0)
      throw new SyncError(
        'SYNC_MIGRATION_FAILED',
        `The ${side} has no table ${missing.join(', ')}: is this its database?` +
          (side === 'portal' ? " To create the portal's tables, add --with-portal-tables." : ''),
      )
    const engine = await target.engine?.()
    const plan = async (): Promise<Plan> => {
      const recorded = await target.recorded()
      const fresh = pending(files, recorded)
      // What a new function is to the services' role; and functions that were dropped and made anew have lost their grants.
      if (engine === undefined)
        return {
          todo: files.filter((file) => fresh.includes(file) || (fresh.length > 0 && GRANTS.test(file.name))),
          leftOut: [],
        }
      const { taken, leftOut } = leaveOut(fresh, doorbell, engine)
      const rings = taken.some((file) => file.doorbell !== null)
      return { todo: files.filter((file) => taken.includes(file) || (rings && GRANTS.test(file.name))), leftOut }
    }
    // Looking first without the lock keeps "up to date" quick and a dry run harmless.
    let { todo, leftOut } = await plan()
    if (todo.length > 0 && !dryRun) {
      await target.lock(options.patience ?? 60_000)
      ;({ todo, leftOut } = await plan())
    }
    for (const { name, why } of leftOut) onLine(`${side}: ${name} is left out: ${why}`)
    for (const file of todo) {
      const started = performance.now()
      const said = dryRun ? [] : await target.apply(file)
      onLine(`${side}: ${file.name} ${dryRun ? 'would be applied' : `applied in ${since(started)}`}`)
      for (const line of said) onLine(`${side}: ${file.name} says: ${line}`)
    }
    const applied = todo.map(({ name }) => name)
    const without = leftOut.map(({ name }) => name)
    const skipped = files.map(({ name }) => name).filter((name) => ![...applied, ...without].includes(name))
    if (todo.length === 0) onLine(`${side}: up to date (${skipped.length} files)`)
    // In a dry run the next thing is to migrate: the doorbell may be among what is missing.
    const next = !(dryRun && todo.length > 0)
    if (next && !leftOut.some(({ name }) => isChosen(files, name, doorbell)))
      compareDoorbell(await target.doorbell?.(), doorbell, onLine)
    return { applied, skipped, leftOut: without }
  } finally {
    await target.close()
  }
}

interface Plan {
  readonly todo: readonly MigrationFile[]
  readonly leftOut: readonly LeftOut[]
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

/** The chosen doorbell's own file was left out: the engine cannot have it, and switching it on would say so once more. */
const isChosen = (files: readonly MigrationFile[], name: string, doorbell: ClinicDoorbell) =>
  files.some((file) => file.name === name && file.doorbell === doorbell)

/** What there is to say where the services' login sees that all is up to date; null: it is not, or cannot be seen. */
async function nothingToDo(
  side: Side,
  url: string,
  files: readonly MigrationFile[],
  doorbell: ClinicDoorbell,
  onLine: (line: string) => void,
): Promise<Migrated | null> {
  const told = await askAsService(side, url)
  if (told === null) return null
  const fresh = pending(files, told.recorded)
  const { taken, leftOut } =
    told.engine === undefined ? { taken: fresh, leftOut: [] } : leaveOut(fresh, doorbell, told.engine)
  if (taken.length > 0) return null
  for (const { name, why } of leftOut) onLine(`${side}: ${name} is left out: ${why}`)
  const without = leftOut.map(({ name }) => name)
  const skipped = files.map(({ name }) => name).filter((name) => !without.includes(name))
  onLine(`${side}: up to date (${skipped.length} files)`)
  if (!leftOut.some(({ name }) => isChosen(files, name, doorbell))) compareDoorbell(told.doorbell, doorbell, onLine)
  return { applied: [], skipped, leftOut: without }
}

/** Installing a doorbell does not switch it on: that is a decision of its own. */
function compareDoorbell(on: string | undefined, chosen: ClinicDoorbell, onLine: (line: string) => void) {
  if (on === undefined || on === inDatabase(chosen)) return
  const now = on === 'none' ? 'no doorbell is switched on' : `the doorbell ${on} is switched on`
  onLine(`clinic: ${now}, and CLINIC_DOORBELL is ${chosen}. Next: npm run sync -- doorbell`)
}
