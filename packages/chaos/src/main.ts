import { randomInt } from 'node:crypto'
import { releasers, screenOn } from '@clinic-sync/demo'
import { Command, InvalidArgumentError } from 'commander'
import { chaos } from './chaos.ts'
import { holds, report } from './end/report.ts'
import type { Fault } from './fault.ts'
import { FAULTS } from './faults/index.ts'

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
  if (!(minutes >= 0 && minutes <= 600)) throw new InvalidArgumentError('It must be from 0 to 600.')
  return minutes
}

function named(text: string): readonly Fault[] {
  return text.split(',').map((name) => {
    const fault = FAULTS.find((candidate) => candidate.name === name.trim())
    if (fault === undefined) throw new InvalidArgumentError(`There is no fault ${name}: see --list.`)
    return fault
  })
}

function nodesFrom(text: string): number {
  if (text !== '1' && text !== '3') throw new InvalidArgumentError('It must be 1 or 3.')
  return Number(text)
}

interface Options {
  readonly seed: number
  readonly minutes: number
  readonly nodes: number
  readonly only?: readonly Fault[]
  readonly pairs: boolean
  readonly patience?: number
  readonly list: boolean
}

function commandFor({ seed, minutes, nodes, only, pairs }: Options): string {
  const chosen = only === undefined ? '' : ` --only ${only.map(({ name }) => name).join(',')}`
  return `npm run chaos -- --minutes ${minutes} --seed ${seed}${nodes === 3 ? '' : ` --nodes ${nodes}`}${chosen}${pairs ? '' : ' --no-pairs'}`
}

async function main(options: Options): Promise<void> {
  const { seed, minutes, nodes, pairs, only = FAULTS } = options
  if (options.list) {
    const width = Math.max(...FAULTS.map(({ name }) => name.length))
    for (const { name, about } of FAULTS) screen.line(`  ${name.padEnd(width)}  ${about}`)
    return
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => {
      if (!stopping) screen.line('\nStopping …')
      void finish(130)
    })
  // The reader of a pipe has gone (`| head`): everything is still to be undone.
  process.stdout.on('error', () => void finish(1))
  screen.line(screen.strong(`clinic-sync: the chaos suite. Seed ${seed}, ${minutes} minutes`))
  const started = performance.now()
  const say = (line: string) => screen.line(`  ${line}`)
  const result = await chaos({
    seed,
    ms: minutes * 60_000,
    release,
    say,
    faults: only,
    nodes,
    ownDisk: true,
    pairs,
    patienceMs: options.patience === undefined ? undefined : options.patience * 1_000,
  })
  report(screen, result, commandFor(options), (performance.now() - started) / 1_000)
  await finish(holds(result) ? 0 : 1)
}

const program = new Command('npm run chaos --')
  .description(
    'Breaks the services, the servers and the network between them in every way it knows, under load on both sides, and accounts for every event.',
  )
  .option(
    '--seed <n>',
    'decides who edits what, and the pairs of faults (default: a random one)',
    whole,
    randomInt(1e9),
  )
  .option('--minutes <m>', 'each fault takes one turn, then pairs of them until this is over', minutesFrom, 10)
  .option('--only <names>', 'these faults only, with commas between', named)
  .option('--nodes <n>', 'nodes of RabbitMQ: 3 in a cluster, or 1', nodesFrom, 3)
  .option('--patience <s>', 'seconds until recovery has failed (default: 150, for some faults more)', whole)
  .option('--no-pairs', 'each fault by itself only')
  .option('--list', 'say what faults there are, and end', false)
  .option('--yes', 'asked for by habit: there is nothing to ask', false)
  .parse()

const chosen = program.opts<Options>()
main(chosen).catch((error: unknown) => {
  // While stopping, whatever was under way fails: that is no news.
  if (stopping) return
  screen.line(`\n${screen.bad(error instanceof Error ? error.message : String(error))}`)
  screen.line(`  The same again: ${screen.strong(commandFor(chosen))}`)
  void finish(1)
})
