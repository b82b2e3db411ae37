import { DIRECTIONS, eventQueues, inspectBroker, outcomeQueue, RETRY_DELAYS_MS, retryQueue } from '@clinic-sync/broker'
import { type Clinic, openClinic } from '@clinic-sync/clinic'
import type { Direction, Side } from '@clinic-sync/contracts'
import { KEPT_WHY, planRepair, type Planned, repair, stillDiffering } from '@clinic-sync/operations'
import { openPortal, type Portal } from '@clinic-sync/portal'
import { createLogger, type Environment, readSettings } from '@clinic-sync/runtime'
import { findRestored, type RestoredSide, SyncError } from '@clinic-sync/sync'
import { confirm } from '@inquirer/prompts'
import { type Command, Option } from 'commander'
import { adminUrl, portalAdminUrl } from '../admin-url.ts'
import { ringIngress } from '../backfill/ring.ts'
import { alone } from './alone.ts'

interface Options {
  readonly dryRun: boolean
  readonly yes: boolean
  readonly side?: Side
}

/** Adds `after-restore` to the program. */
export function addAfterRestore(program: Command, environment: () => Environment): void {
  program
    .command('after-restore')
    .description('after a database was restored from a backup: show what is unequal, and repair it')
    .option('--dry-run', 'say what would be done, and do nothing', false)
    .option('--yes', 'do it without asking', false)
    .addOption(
      new Option('--side <side>', 'the database that was restored, where it was not noticed').choices([
        'clinic',
        'portal',
      ]),
    )
    .action(async (options: Options) => {
      const ask = () => confirm({ message: 'Repair it now?', default: false })
      const done = await afterRestoreCommand({
        ...options,
        environment: environment(),
        say: (line) => console.log(line),
        ...(process.stdin.isTTY && { ask }),
      })
      if (!done) process.exitCode = 1
    })
}

export interface AfterRestoreCommand extends Options {
  readonly environment: Environment
  readonly say: (line: string) => void
  /** Missing: nobody is there to be asked. */
  readonly ask?: () => Promise<boolean>
  /** How long nothing may move before it is given up; milliseconds. */
  readonly patienceMs?: number
}

/**
 * Looks with the logins that install, shows, asks and repairs.
 *
 * @returns whether both sides are equal now, or would be.
 * @throws SyncError in words for the operator, DatabaseError
 */
export async function afterRestoreCommand(command: AfterRestoreCommand): Promise<boolean> {
  const { environment, dryRun } = command
  const log = createLogger({ name: 'after-restore', level: 'silent' })
  const { CLINIC_TIME_ZONE: timeZone } = readSettings(['CLINIC_TIME_ZONE'], environment)
  const clinic = await openClinic({ url: adminUrl(environment), timeZone, log })
  const portal = await openPortal({ url: portalAdminUrl(environment), log })
  try {
    if (dryRun) return await lookAndRepair(command, clinic, portal)
    return await alone(portalAdminUrl(environment), 'after-restore', () => lookAndRepair(command, clinic, portal))
  } finally {
    await Promise.all([clinic.close(), portal.close()])
  }
}

async function lookAndRepair(command: AfterRestoreCommand, clinic: Clinic, portal: Portal): Promise<boolean> {
  const { environment, say, side, dryRun, yes, ask } = command
  const { restored: found } = await findRestored({ clinic, portal })
  const other = side && found.find((each) => each.side !== side)
  // What went back would be taken for the truth, and be written over the newer rows.
  if (other)
    throw new SyncError(
      'SYNC_USAGE',
      `The ${other.side}'s database was restored: it ${other.why}. Leave --side ${side} away.`,
    )
  const restored = found.length > 0 || side === undefined ? found : [told(side)]
  if (restored.length === 0) return await nothingFound(say, await stillDiffering(clinic, portal))
  for (const each of restored) say(`The ${each.side}'s database was restored from a backup: it ${each.why}.`)
  for (const line of planLines(await planRepair(clinic, portal, restored))) say(line)
  if (dryRun) {
    say('Nothing was changed.')
    return true
  }
  if (!yes) {
    if (ask === undefined) throw new SyncError('SYNC_USAGE', 'There is no terminal to ask on: add --yes, or --dry-run.')
    if (!(await ask())) {
      say('Nothing was changed; nothing is sent until it is repaired.')
      return false
    }
  }
  const settings = readSettings(['RABBITMQ_URL', 'INGRESS_URL', 'SYNC_OPERATOR_TOKEN'], environment)
  const { left } = await repair(
    {
      clinic,
      portal,
      say,
      waiting: (direction) => waiting(settings.RABBITMQ_URL, direction),
      async ring() {
        for (const direction of DIRECTIONS)
          await ringIngress(settings.INGRESS_URL, settings.SYNC_OPERATOR_TOKEN, undefined, direction)
      },
      ...(command.patienceMs !== undefined && { patienceMs: command.patienceMs }),
    },
    restored,
  )
  if (left === null) return false
  return equalOrNot(say, left, 'Repaired: both sides have the same rows, and the sync goes on.')
}

const told = (side: Side): RestoredSide => ({ side, why: 'was not noticed to be older; you say so' })

function nothingFound(say: (line: string) => void, left: readonly string[]): boolean {
  say('Neither database knows less than the other has told it: none was restored, or it is repaired.')
  return equalOrNot(say, left, 'Both sides have the same rows.')
}

/** Names that are shown. */
const SHOWN = 20

function equalOrNot(say: (line: string) => void, left: readonly string[], equal: string): boolean {
  say(
    left.length === 0
      ? equal
      : `${left.length} ${left.length === 1 ? 'record differs' : 'records differ'}, or ${left.length === 1 ? 'is' : 'are'} on the way: ${left
          .slice(0, SHOWN)
          .join(
            ', ',
          )}${left.length > SHOWN ? ' …' : ''}. \`npm run sync -- status\` says what is stuck; run this again to compare once more.`,
  )
  return left.length === 0
}

/** What was found and what will be done: numbers and names, no values. */
export function planLines({ counts, kept, sent, queued, rekeyed }: Planned): string[] {
  const lines = counts.flatMap(({ table, differing, missing, extra, reused }) => {
    const parts = [
      differing > 0 && `${differing} with other values`,
      missing > 0 && `${missing} that the portal lacks`,
      extra > 0 && `${extra} that the clinic lacks`,
      reused > 0 && `${reused} whose number the clinic has given to another record since`,
    ].filter((part) => part !== false)
    return parts.length === 0 ? [] : [`${table}: ${parts.join(', ')}.`]
  })
  if (lines.length === 0) lines.push('All rows are equal: only the queue ids have to be moved on.')
  return [
    ...lines,
    `To be done: ${sent.length} of the portal's rows go to the clinic as doctors' edits; ${queued.length} records go from the clinic to the portal, what the clinic lacks as deleted.`,
    ...(rekeyed.length === 0
      ? []
      : [`${rekeyed.length} notes of doctors get another key: the clinic knows other notes by theirs.`]),
    ...(kept.length === 0
      ? []
      : [
          `${kept.length} of the portal's rows are put on record first, in its table sync.lost_edits with the reason '${KEPT_WHY}'.`,
        ]),
  ]
}

/** What of a direction lies in RabbitMQ, with its outcomes and the retries of both directions. */
async function waiting(url: string, direction: Direction): Promise<number> {
  const names = new Set([
    ...eventQueues(direction),
    outcomeQueue(direction),
    ...RETRY_DELAYS_MS.map((_, index) => retryQueue(index + 1)),
  ])
  const { queues } = await inspectBroker({ url })
  return queues.filter(({ name }) => names.has(name)).reduce((sum, { messages }) => sum + messages, 0)
}
