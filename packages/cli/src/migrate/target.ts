import type { Side } from '@clinic-sync/contracts'
import type { Engine } from './engine.ts'
import type { MigrationFile } from './files.ts'

export interface Recorded {
  readonly checksum: string
  /** When it was applied, for people. */
  readonly at: string
}

/**
 * How long a statement of a migration waits for somebody's open transaction. Everybody else who comes to that table stands
 * in line behind it meanwhile. Milliseconds.
 */
export const LOCK_TIMEOUT = 5_000

/** What is said when another migration does not end. `patience` in milliseconds. */
export const stillRunning = (side: Side, patience: number) =>
  `Another migration of this ${side} has been running for ${patience === 60_000 ? 'a minute' : `${patience} ms`}.`

/** A database that is being migrated. */
export interface MigrationTarget {
  /** What has been applied, by file name; empty if nothing ever was. */
  recorded(): Promise<ReadonlyMap<string, Recorded>>
  /**
   * Waits until no other migration runs on this database, then holds that right until `close`.
   *
   * @throws SyncError `SYNC_MIGRATION_FAILED` if another one does not end within `patience` milliseconds.
   */
  lock(patience: number): Promise<void>
  /**
   * Runs a file and records it.
   *
   * @returns what the file had to say (PRINT), for people.
   * @throws SyncError `SYNC_MIGRATION_FAILED` naming file and line.
   */
  apply(file: MigrationFile): Promise<readonly string[]>
  /** The side's own tables that are not there. */
  missingTables?(): Promise<readonly string[]>
  /** Clinic: what its engine is. */
  engine?(): Promise<Engine>
  /** Clinic: the doorbell that is switched on; 'none' if none is, or none ever was. */
  doorbell?(): Promise<string>
  close(): Promise<void>
}
