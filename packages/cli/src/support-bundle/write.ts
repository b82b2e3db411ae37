import { accessSync, constants, statSync } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { SyncError } from '@clinic-sync/sync'

/** `clinic-sync-support-2026-11-23-184500.tar.gz`: in UTC, so that two of a day stand beside each other. */
export const bundleName = (at: Date): string =>
  `clinic-sync-support-${at.toISOString().slice(0, 19).replace('T', '-').replaceAll(':', '')}.tar.gz`

/**
 * Where the bundle goes.
 *
 * @param out what `--out` says: a file, or a folder for it; missing: the current folder
 * @throws SyncError SYNC_USAGE where nothing can be written there, before anybody has waited for it
 */
export function placeFor(out: string | undefined, at: Date, command: string | undefined): string {
  const isFolder =
    out === undefined || /[\\/]$/.test(out) || statSync(out, { throwIfNoEntry: false })?.isDirectory() === true
  const file = resolve(isFolder ? join(out ?? '.', bundleName(at)) : out)
  const inDocker = /^docker\b/.test(command ?? '')
  if (inDocker)
    throw new SyncError(
      'SYNC_USAGE',
      'A container keeps no file: write it to standard output, docker compose run --rm -T sync support-bundle --out - > bundle.tar.gz (on Windows in the Command Prompt: PowerShell’s > spoils it)',
    )
  try {
    accessSync(dirname(file), constants.W_OK)
  } catch (cause) {
    throw new SyncError(
      'SYNC_USAGE',
      `Nothing can be written into the folder ${dirname(file)}: name another with --out`,
      { cause },
    )
  }
  return file
}

/** Writes it for its owner alone: whole, or not at all. @throws Error of the file system */
export async function writeBundle(file: string, content: Buffer, signal: AbortSignal): Promise<void> {
  const staged = `${file}.${process.pid}.part`
  try {
    const handle = await open(staged, 'wx', 0o600)
    try {
      await handle.writeFile(content, { signal })
      await handle.sync()
    } finally {
      await handle.close()
    }
    signal.throwIfAborted()
    await rename(staged, file)
  } catch (error) {
    await rm(staged, { force: true })
    throw error
  }
}
