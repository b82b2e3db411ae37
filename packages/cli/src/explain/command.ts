import { explainRecord, type NamedRecord, recordNamed, type RecordPorts } from '@clinic-sync/operations'
import { type Environment, readSettings } from '@clinic-sync/runtime'
import { SyncError } from '@clinic-sync/sync'
import type { Command } from 'commander'
import { openOwnLook } from '../own-look.ts'
import { askStatus } from '../status/ask.ts'
import { storyLines } from './lines.ts'

interface Options {
  readonly showValues: boolean
  readonly json: boolean
}

/** Adds `explain` to the program. */
export function addExplain(program: Command, environment: () => Environment): void {
  program
    .command('explain')
    .description('one record’s story: equal or not, what is on its way, what failed, what happens next, what to do')
    .argument('<table>', 'its table, the portal’s name or the clinic’s; or table/key')
    .argument('[key]', 'its key: a whole number')
    .option('--show-values', "print the columns' values with it: patients' data, on this terminal", false)
    .option('--json', 'print the story as JSON and nothing else', false)
    .action(async (table: string, key: string | undefined, options: Options) => {
      const record = recordNamed(table, key)
      // Ends now: a connection that hangs would keep the process for as long as it does.
      process.exit(await explainCommand({ ...options, record, environment: environment(), out: process.stdout }))
    })
}

export interface ExplainCommand extends Options {
  readonly record: NamedRecord
  readonly environment: Environment
  readonly out: Pick<NodeJS.WriteStream, 'write'>
  /** How long each part may take to answer. Milliseconds. */
  readonly patienceMs?: number
}

/** @returns 0 where both sides have what they should; 1 where they have not, or that is not known. */
export async function explainCommand({ environment, record, out, json, ...options }: ExplainCommand): Promise<0 | 1> {
  const own = await openOwnLook(environment, 'explain')
  const ports: RecordPorts = { ...own, ingress: () => ingressPart(environment) }
  try {
    const story = await explainRecord(ports, record.table, record.key, options)
    out.write(json ? `${JSON.stringify(story, null, 2)}\n` : `${storyLines(story).join('\n')}\n`)
    return story.equal === true ? 0 : 1
  } finally {
    await atMost(CLOSE_MS, own.close())
  }
}

/** A goodbye to a server that has gone silent is not waited for. */
const CLOSE_MS = 1_000

async function atMost(ms: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms)
  })
  try {
    await Promise.race([work.then(() => undefined), late])
  } finally {
    clearTimeout(timer)
  }
}

/** What the ingress says of itself. @throws SyncError where it cannot be asked, or is not set up to be */
async function ingressPart(environment: Environment) {
  const { INGRESS_URL: url, SYNC_OPERATOR_TOKEN: token } = readSettings(
    ['INGRESS_URL', 'SYNC_OPERATOR_TOKEN'],
    environment,
  )
  const { ingress } = await askStatus({ url, token }, new AbortController().signal)
  if (ingress.reachable) return ingress
  throw new SyncError('SYNC_INGRESS', ingress.reason)
}
