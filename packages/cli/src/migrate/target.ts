import type { MigrationFile } from './files.ts'

export interface Recorded {
  readonly checksum: string
  /** When it was applied, for people. */
  readonly at: string
}

/** A database that is being migrated. */
export interface MigrationTarget {
  /** What has been applied, by file name; empty if nothing ever was. */
  recorded(): Promise<ReadonlyMap<string, Recorded>>
  /** Waits until no other migration runs on this database, then holds that right until `close`. */
  lock(): Promise<void>
  /**
   * Runs a file and records it.
   *
   * @throws SyncError `SYNC_MIGRATION_FAILED` naming file and line.
   */
  apply(file: MigrationFile): Promise<void>
  /** Portal: its own tables that are not there. */
  missingTables?(): Promise<readonly string[]>
  close(): Promise<void>
}
