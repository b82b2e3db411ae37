import { spawn } from 'node:child_process'
import { childEnvironment, DIES_WITH_US, nodeArguments } from './child.ts'
import type { Releasers } from './releasers.ts'

/**
 * Runs the operator's own command, `npm run sync -- backfill`, on this terminal.
 *
 * @param quiet shows only what it has to complain about.
 * @throws Error if it does not end with 0.
 */
export async function runBackfill(
  settings: Readonly<Record<string, string>>,
  folder: string,
  release: Releasers,
  quiet = false,
) {
  const child = spawn(process.execPath, [DIES_WITH_US, ...nodeArguments('packages/cli/src/main.ts'), 'backfill'], {
    cwd: folder,
    env: childEnvironment(settings),
    stdio: ['pipe', quiet ? 'ignore' : 'inherit', 'inherit'],
    detached: true,
  })
  const ended = new Promise<number | null>((resolve) => {
    child.once('exit', resolve)
    child.once('error', () => resolve(null))
  })
  release.add('backfill', async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
    await ended
  })
  const code = await ended
  if (code !== 0) throw new Error(`The backfill ended with ${code ?? 'a signal'}.`)
}
