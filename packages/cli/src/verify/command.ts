import { TABLE_NAMES, type TableName } from '@clinic-sync/mapping'
import type { Environment } from '@clinic-sync/runtime'
import { type Command, InvalidArgumentError } from 'commander'
import { verifyCommand } from './verify.ts'

interface Options {
  readonly table?: TableName[]
  readonly repair: boolean
  readonly dryRun: boolean
  readonly yes: boolean
  readonly json: boolean
  readonly showValues: boolean
  readonly patience: number
}

/** Adds `verify` to the program. Exits with 0: equal; 1: differences; 3: none, but some records were still on their way. */
export function addVerify(program: Command, environment: () => Environment): void {
  program
    .command('verify')
    .description(
      'compare every synced row and column of both databases, while people work; --repair sends what differs',
    )
    .option('-t, --table <table...>', `only these: ${TABLE_NAMES.join(', ')}`, tableNames)
    .option('--repair', 'send what differs from the side that owns it, and compare it again', false)
    .option('--dry-run', 'with --repair: say what would be sent, and send nothing', false)
    .option('--yes', 'with --repair: do it without asking', false)
    .option('--json', 'print the result as JSON and nothing else', false)
    .option('--show-values', "also print the values that differ: they are patients' data", false)
    .option('--patience <seconds>', 'how long changes on their way are waited for', seconds, 30)
    .action(async ({ table, patience, ...options }: Options) => {
      const stop = new AbortController()
      process.once('SIGINT', () => stop.abort())
      process.once('SIGTERM', () => stop.abort())
      process.exitCode = await verifyCommand({
        ...options,
        ...(table !== undefined && { tables: table }),
        patienceMs: patience * 1_000,
        environment: environment(),
        out: process.stdout,
        progressOn: process.stderr,
        signal: stop.signal,
        ...(process.stdin.isTTY && { ask }),
      })
    })
}

/** Ctrl-C at the question is a no. */
async function ask(): Promise<boolean> {
  const [{ confirm }, { isAbandoned }] = await Promise.all([import('@inquirer/prompts'), import('../init/ask.ts')])
  return confirm({ message: 'Send it now?', default: false }).catch((error: unknown) => {
    if (isAbandoned(error)) return false
    throw error
  })
}

function tableNames(value: string, before: TableName[] = []): TableName[] {
  const known = TABLE_NAMES.find((name) => name === value)
  if (known === undefined) throw new InvalidArgumentError(`Known are ${TABLE_NAMES.join(', ')}.`)
  return [...before, known]
}

function seconds(value: string): number {
  if (!/^\d{1,6}$/.test(value)) throw new InvalidArgumentError('A whole number of seconds.')
  return Number(value)
}
