import {
  facts,
  filtered,
  isOver,
  type JudgedLetter,
  select,
  type Selection,
  standing,
  unaskedLines,
  type Yard,
} from '@clinic-sync/operations'
import { TABLE_NAMES } from '@clinic-sync/mapping'
import type { Environment } from '@clinic-sync/runtime'
import { SyncError } from '@clinic-sync/sync'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { discardCommand } from './discard.ts'
import { listLines } from './list.ts'
import { progressOn } from './progress.ts'
import { replayCommand } from './replay.ts'
import { show } from './show.ts'
import { openYard } from './yard.ts'

interface Filters {
  readonly direction?: string
  readonly table?: string
  readonly cause?: string
}
interface Chosen extends Filters {
  readonly all?: boolean
}

const ID = "a dead letter's id, an event's (clinic/aligner_notes/5/77), or a record (aligner_notes/5)"

/** Adds `dead-letters list | show | replay | discard` to the program. */
export function addDeadLetters(program: Command, environment: () => Environment): void {
  const out = process.stdout
  const say = (line: string) => void out.write(`${line}\n`)
  const command = program
    .command('dead-letters')
    .description('list, explain, replay or discard what could not be applied')

  narrowed(command.command('list'))
    .description('what lies in the dead-letter queues, by cause; takes nothing away')
    .option('--limit <n>', 'letters shown of each cause', wholeNumber, 20)
    .option('--json', 'print { letters, unasked } and nothing else', false)
    .action((options: Filters & { limit: number; json: boolean }) =>
      inYard(environment(), async (yard) => {
        const letters = filtered(yard.letters, options)
        const notes = unaskedLines(yard)
        if (options.json) return say(JSON.stringify({ letters: letters.map(facts), unasked: notes }, null, 2))
        for (const line of [...listLines(letters, options.limit), ...notes]) say(line)
      }),
    )

  chosen(command.command('show'))
    .description('say in words what happened to dead letters, why, and what to do')
    .option(
      '--rehearse',
      'apply them to their target in a transaction that is rolled back, and say what would change',
      false,
    )
    .option('--values', "print columns' values with it: patients' data, on this terminal", false)
    .action((ids: string[], options: Chosen & { rehearse: boolean; values: boolean }) =>
      inYard(environment(), async (yard) => {
        const letters = select(yard.letters, { ...options, ids })
        if (isNothing(ids, options)) throw named('show')
        if (letters.length === 0) {
          // Asked for all, none is what everybody hopes for.
          const isAll = options.all === true && [options.cause, options.table, options.direction].every((each) => !each)
          if (!isAll) process.exitCode = 1
          return say(isAll ? 'There are no dead letters.' : 'There is no such dead letter.')
        }
        await show(yard, letters, { ...options, say, progress: progressOn(out, 'rehearsed') })
        for (const line of unaskedLines(yard)) say(line)
      }),
    )

  chosen(command.command('replay'))
    .description('send dead letters on their way again: 1, 2, 5, 10 … at a time, until one fails again')
    .action((ids: string[], options: Chosen) =>
      inYard(environment(), async (yard, signal) => {
        if (isNothing(ids, options)) throw named('replay')
        const found = select(yard.letters, { ...options, ids })
        const letters = ids.length > 0 ? found : standing(found)
        for (const line of unaskedLines(yard)) say(line)
        if (letters.length < found.length) {
          say(`${found.length - letters.length} are left out: their change, or a later one, has arrived.`)
        }
        if (letters.length === 0) return say('There is nothing to replay.')
        if (!(await replayCommand(yard, letters, { say, signal, progress: progressOn(out, 'replayed') }))) {
          process.exitCode = 1
        }
        if (signal.aborted) process.exitCode = 130
      }),
    )

  chosen(command.command('discard'))
    .description('give dead letters up: they are kept aside, and the outbox says who and why')
    .option('--superseded', 'those whose change, or a later one of the record, has arrived', false)
    .option('--who <name>', 'who decides it (default: the user of this machine)')
    .requiredOption('--why <text>', "why; no patient's data: it is stored in the outbox and in RabbitMQ")
    .option('--yes', 'do not ask', false)
    .action((ids: string[], options: Chosen & { superseded: boolean; who?: string; why: string; yes: boolean }) =>
      inYard(environment(), async (yard) => {
        if (isNothing(ids, options) && !options.superseded) throw named('discard', ', or --superseded')
        for (const line of unaskedLines(yard)) say(line)
        const letters = options.superseded
          ? filtered(choose(yard.letters, ids, options), options).filter(isOver)
          : select(yard.letters, { ...options, ids })
        if (letters.length === 0) return say('There is nothing to discard.')
        const progress = progressOn(out, 'discarded')
        if (!(await discardCommand(yard, letters, { ...options, input: process.stdin, out, progress })))
          process.exitCode = 1
      }),
    )
}

const choose = (letters: readonly JudgedLetter[], ids: readonly string[], options: Selection) =>
  ids.length > 0 ? select(letters, { ...options, ids }) : letters

const narrowed = (command: Command) =>
  command
    .addOption(new Option('-d, --direction <direction>', 'only these').choices(['sql-to-postgres', 'postgres-to-sql']))
    .option('-c, --cause <code>', 'only those that failed with this code', String)
    .addOption(new Option('-t, --table <table>', 'only those of this table').choices(TABLE_NAMES))

const chosen = (command: Command) => narrowed(command).argument('[id...]', ID).option('--all', 'all of them', false)

const isNothing = (ids: readonly string[], { all, cause }: Chosen) =>
  ids.length === 0 && all !== true && cause === undefined

const named = (what: string, more = '') =>
  new SyncError('SYNC_NO_SUCH_DEAD_LETTER', `Say which dead letters to ${what}: by id, with --cause or --all${more}`)

function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.')
  return Number(text)
}

/**
 * Runs a command with all letters in hand; they go back whatever becomes of it. Ctrl-C ends it at once where nothing is half done by
 * that; where `work` looks at the signal, it says itself how far it came.
 */
async function inYard(
  environment: Environment,
  work: (yard: Yard, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const yard = await openYard(environment)
  const stop = new AbortController()
  const end = () => {
    stop.abort()
    if (work.length < 2) void yard.close().finally(() => process.exit(130))
  }
  process.once('SIGINT', end)
  process.once('SIGTERM', end)
  try {
    await work(yard, stop.signal)
  } finally {
    await yard.close()
  }
}
