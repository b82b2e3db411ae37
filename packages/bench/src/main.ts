import { releasers, screenOn } from '@clinic-sync/demo'
import { type BenchOptions, benchProgram, exitCodeOf, run } from './command.ts'

const release = releasers()
let stopping = false

/** Ends the process when everything is undone; the first call decides the exit code. */
async function finish(code: number): Promise<void> {
  if (stopping) return
  stopping = true
  const left = await release.releaseAll()
  if (left.length > 0) process.stderr.write(`Could not be stopped: ${left.join(', ')}.\n`)
  process.exit(left.length > 0 ? 1 : code)
}

async function main(options: BenchOptions): Promise<void> {
  // Whoever reads JSON from standard output gets nothing else there.
  const shown = screenOn(options.json === '-' ? process.stderr : process.stdout)
  // While stopping, whatever was under way fails: that is no news.
  const screen = { ...shown, line: (text?: string) => void (stopping || shown.line(text)) }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => {
      screen.line('\nStopping …')
      void finish(130)
    })
  // The reader of a pipe has gone (`| head`): everything is still to be undone.
  process.stdout.on('error', () => void finish(1))
  try {
    await finish(exitCodeOf(await run({ ...options, screen, release })))
  } catch (error) {
    screen.line(`\n${screen.bad(error instanceof Error ? error.message : String(error))}`)
    await finish(1)
  }
}

await benchProgram(main).parseAsync()
