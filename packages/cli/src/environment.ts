import { accessSync, constants } from 'node:fs'
import { type Environment, withEnvFile } from '@clinic-sync/runtime'
import { SyncError } from '@clinic-sync/sync'

/**
 * The settings of a command: the process's environment, and what it lacks from a file.
 *
 * @param file the one that `--env-file` names; without it `.env`, if there is one.
 * @throws SyncError SYNC_USAGE if a file that was named cannot be read: its settings would silently be others'.
 */
export function environmentFrom(file: string | undefined, environment: Environment = process.env): Environment {
  if (file === undefined) return withEnvFile(environment)
  try {
    accessSync(file, constants.R_OK)
  } catch (cause) {
    throw new SyncError('SYNC_USAGE', `The file ${file}, which --env-file names, cannot be read.`, { cause })
  }
  return withEnvFile(environment, file)
}
