import { randomInt } from 'node:crypto'
import { releasers, screenOn } from '@clinic-sync/demo'
import { Command, InvalidArgumentError } from 'commander'
import { holds, report } from './end/report.ts'
import { prove } from './prove.ts'

const screen = screenOn(process.stdout)
const release = releasers()
let stopping = false

/** Ends the process when everything is undone; the first call decides the exit code. */
async function finish(code: number): Promise<void> {
  if (stopping) return
  stopping = true
  const left = await release.releaseAll()
  if (left.length > 0) screen.line(screen.bad(`Could not be stopped: ${left.join(', ')}.`))
  process.exit(left.length > 0 ? 1 : code)
}

function whole(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('It must be a whole number below a billion.')
  return Number(text)
}

function minutesFrom(text: string): number {
  const minutes = Number(text)
  if (!(minutes > 0 && minutes <= 600)) throw new InvalidArgumentError('It must be above 0 and at most 600.')
  return minutes
}

interface Options {
  readonly seed: number
  readonly minutes: number
  readonly yes: boolean
}

const commandFor = ({ seed, minutes }: Options) => `npm run prove -- --seed ${seed} --minutes ${minutes}`

async function main(options: Options): Promise<void> {
  const { seed, minutes, yes } = options
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => {
      if (!stopping) screen.line('\nStopping …')
      void finish(130)
    })
  // The reader of a pipe has gone (`| head`): everything is still to be undone.
  process.stdout.on('error', () => void finish(1))
  screen.line(screen.strong(`clinic-sync: the proof. Seed ${seed}, ${minutes} minutes`))
  const started = performance.now()
  const say = (line: string) => screen.line(`  ${line}`)
  const proof = await prove({ seed, ms: minutes * 60_000, release, say, yes, sample: true })
  report(screen, proof, commandFor(options), (performance.now() - started) / 1_000)
  await finish(holds(proof) ? 0 : 1)
}

const program = new Command('npm run prove --')
  .description('Proves that the two databases converge, with edits on both sides and faults in between, from a seed.')
  .option('--seed <n>', 'decides what is edited and what goes wrong (default: a random one)', whole, randomInt(1e9))
  .option('--minutes <m>', 'how long people are at work', minutesFrom, 1)
  .option('--yes', 'ask nothing before installing a missing RabbitMQ', false)
  .parse()

const chosen = program.opts<Options>()
main(chosen).catch((error: unknown) => {
  // While stopping, whatever was under way fails: that is no news.
  if (stopping) return
  screen.line(`\n${screen.bad(error instanceof Error ? error.message : String(error))}`)
  screen.line(`  The same again: ${screen.strong(commandFor(chosen))}`)
  void finish(1)
})
