import type { Settings } from '@clinic-sync/runtime'
import { type Engine, whyNot } from './engine.ts'
import type { MigrationFile } from './files.ts'

export type ClinicDoorbell = Settings['CLINIC_DOORBELL']

/** A file that is not for this database, and why. */
export interface LeftOut {
  readonly name: string
  readonly why: string
}

/**
 * Leaves out the files of doorbells that were not chosen, or that the engine cannot have. None is recorded, so that it is
 * applied once it is chosen, whatever its number.
 */
export function leaveOut(
  files: readonly MigrationFile[],
  chosen: ClinicDoorbell,
  engine: Engine,
): { readonly taken: readonly MigrationFile[]; readonly leftOut: readonly LeftOut[] } {
  const taken: MigrationFile[] = []
  const leftOut: LeftOut[] = []
  for (const file of files) {
    const why = file.doorbell === null ? null : whyLeftOut(file.doorbell, chosen, engine)
    if (why === null) taken.push(file)
    else leftOut.push({ name: file.name, why })
  }
  return { taken, leftOut }
}

function whyLeftOut(doorbell: NonNullable<MigrationFile['doorbell']>, chosen: ClinicDoorbell, engine: Engine) {
  if (doorbell !== chosen) return `it is for the doorbell ${doorbell}, and CLINIC_DOORBELL is ${chosen}`
  const why = whyNot(engine, doorbell)
  return why === null ? null : `CLINIC_DOORBELL is ${doorbell}, but ${why}`
}

/** What `sync.Settings` has to hold where that is chosen: with `http` and `none` nothing in the database rings. */
export const inDatabase = (chosen: ClinicDoorbell) => (chosen === 'http' ? 'none' : chosen)
