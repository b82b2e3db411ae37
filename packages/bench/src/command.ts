import { writeFile } from 'node:fs/promises'
import { type Releasers, type Screen } from '@clinic-sync/demo'
import { Command, InvalidArgumentError, Option } from 'commander'
import { ratiosOf, runRounds, seriesOf } from './bench.ts'
import { problemsAtEnd } from './end.ts'
import { FULL, type Measure, QUICK, type Scale } from './measure.ts'
import { MEASURES } from './measures/index.ts'
import { REFERENCES } from './references/index.ts'
import { commitOf, machineOf, versionsOf } from './report/machine.ts'
import { writeDocument } from './report/document.ts'
import { tableFor } from './report/table.ts'
import { RATIOS } from './report/targets.ts'
import type { Results } from './results.ts'
import { openStage } from './stage/stage.ts'

export interface BenchOptions {
  readonly quick: boolean
  /** A file; `-`: standard output. */
  readonly json?: string
  readonly only?: readonly string[]
  readonly rounds?: number
  readonly write: boolean
  readonly yes: boolean
}

/** What there is to measure. */
export const ALL: readonly Measure[] = [...MEASURES, ...REFERENCES]

/** @throws InvalidArgumentError that says which names there are */
function names(text: string): string[] {
  const known = ALL.map(({ name }) => name)
  const chosen = text.split(',').map((name) => name.trim())
  const unknown = chosen.filter((name) => !known.includes(name))
  if (unknown.length > 0) throw new InvalidArgumentError(`There is no ${unknown.join(', ')}: ${known.join(', ')}.`)
  return chosen
}

function count(text: string): number {
  const rounds = Number(text)
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > 100)
    throw new InvalidArgumentError('It must be a whole number from 1 to 100.')
  return rounds
}

/** `run` gets what was chosen. */
export function benchProgram(run: (options: BenchOptions) => Promise<void>): Command {
  return new Command('npm run bench --')
    .description(
      'Measures the pipeline beside what the same machine does at best, in one run, with servers of its own.',
    )
    .option('--quick', 'smaller and fewer: shows that everything works, and about where the figures are', false)
    .option('--only <names>', `some of: ${ALL.map(({ name }) => name).join(', ')}`, names)
    .option('--rounds <n>', `default ${FULL.rounds}; with --quick ${QUICK.rounds}`, count)
    .option('--json <file>', 'write the results there as JSON; - for standard output')
    .addOption(
      new Option('--write', 'write docs/benchmarks.md and docs/benchmarks.svg')
        .default(false)
        .conflicts(['quick', 'only']),
    )
    .option('--yes', 'ask nothing before installing a missing RabbitMQ', false)
    .action(run)
}

/** The command that gives these results. */
export function commandFor({ quick, only, rounds, write }: BenchOptions): string {
  const options = [
    ...(quick ? ['--quick'] : []),
    ...(only === undefined ? [] : [`--only ${only.join(',')}`]),
    ...(rounds === undefined ? [] : [`--rounds ${rounds}`]),
    ...(write ? ['--write'] : []),
  ]
  return ['npm run bench', ...(options.length > 0 ? ['--', ...options] : [])].join(' ')
}

/** What the process ends with. */
export const exitCodeOf = ({ problems }: Pick<Results, 'problems'>): 0 | 1 => (problems.length === 0 ? 0 : 1)

export interface RunOptions extends BenchOptions {
  readonly release: Releasers
  /** Gets the progress and the table. */
  readonly screen: Screen
  /** For tests: other measures, on something smaller. */
  readonly all?: readonly Measure[]
  readonly scale?: Scale
  readonly open?: typeof openStage
}

/** Measures, shows the table, and writes what was asked for. @throws Error in words for people, if it cannot begin */
export async function run(options: RunOptions): Promise<Results> {
  const { screen, release, yes, all = ALL, open = openStage, only, json, write } = options
  const base = options.scale ?? (options.quick ? QUICK : FULL)
  const scale = { ...base, rounds: options.rounds ?? base.rounds }
  const startedAt = new Date()
  const started = performance.now()
  const at = () => `${((performance.now() - started) / 1_000).toFixed(0)} s`.padStart(6)
  const say = (line: string) => screen.line(`${at()}  ${line}`)
  const stage = await open({ release, say, yes })
  for (const line of stage.servers) say(line)
  const measures = all.filter(({ name }) => only === undefined || only.includes(name))
  const { measured, problems } = await runRounds({ stage, measures, scale, say })
  say('looking whether both sides are equal')
  const atEnd = await problemsAtEnd(stage)
  const results: Results = {
    format: 1,
    command: commandFor(options),
    startedAt: startedAt.toISOString(),
    seconds: Math.round((performance.now() - started) / 1_000),
    commit: await commitOf(),
    machine: await machineOf(),
    versions: await versionsOf(stage),
    scale,
    rounds: scale.rounds,
    figures: seriesOf(measured),
    ratios: ratiosOf(measured, RATIOS),
    problems: [...problems, ...atEnd],
  }
  screen.line()
  for (const line of tableFor(results)) screen.line(line)
  for (const { where, round, what } of results.problems)
    screen.line(screen.bad(`${where}${round > 0 ? `, round ${round}` : ''}: ${what}`))
  const text = `${JSON.stringify(results, null, 2)}\n`
  // Awaited: the process ends soon.
  if (json === '-') await new Promise((resolve) => process.stdout.write(text, resolve))
  else if (json !== undefined) await writeFile(json, text)
  // What a run with failures has measured is not for documents.
  if (write && results.problems.length === 0) await writeDocument(results)
  return results
}
