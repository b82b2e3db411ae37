import type { Clinic } from '@clinic-sync/clinic'
import { type Direction, directionFrom } from '@clinic-sync/contracts'
import type { Portal } from '@clinic-sync/portal'
import { type RestoredSide, SyncError } from '@clinic-sync/sync'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Planned, planRepair, stillDiffering } from './plan.ts'

export type RepairClinic = Pick<
  Clinic,
  'readRows' | 'bookkeeping' | 'connections' | 'hold' | 'resumeAfterRestore' | 'queueRecords' | 'outboxStatus'
>
export type RepairPortal = Pick<
  Portal,
  | 'readRows'
  | 'bookkeeping'
  | 'connections'
  | 'hold'
  | 'moveQueueIds'
  | 'moveNoteKeys'
  | 'resumeAfterRestore'
  | 'requeue'
  | 'keepRows'
  | 'sendRows'
  | 'outboxStatus'
>

export interface RepairPorts {
  readonly clinic: RepairClinic
  readonly portal: RepairPortal
  /** Events of this direction that lie in RabbitMQ, retries included. @throws SyncError SYNC_BROKER_DOWN */
  readonly waiting: (direction: Direction) => Promise<number>
  /** Has both outboxes drained. @throws SyncError SYNC_INGRESS */
  readonly ring: () => Promise<void>
  readonly say: (line: string) => void
  /** How long nothing may move before it is given up. Milliseconds. */
  readonly patienceMs?: number
}

export interface Repaired {
  readonly planned: Planned
  /** Rows that were put on record. */
  readonly kept: number
  /** Records that still differ, by name; null: it was not waited for. */
  readonly left: readonly string[] | null
}

/** Why what the portal had was put on record. */
export const KEPT_WHY = 'the clinic was restored from a backup: what the portal had until then'

/** The longest retry takes 10 minutes. */
const EMPTY_MS = 12 * 60_000
const ARRIVE_MS = 60_000
const LOOK_MS = 500

/**
 * Repairs what a restored backup has left unequal. It may be interrupted anywhere and run again: nothing is sent until the end, and each
 * step, done twice, does no more than once.
 *
 * @throws DatabaseError, SyncError
 */
export async function repair(ports: RepairPorts, restored: readonly RestoredSide[]): Promise<Repaired> {
  const { clinic, portal, say } = ports
  const is = { clinic: has(restored, 'clinic'), portal: has(restored, 'portal') }
  // What RabbitMQ has of a side that went back is nowhere else: the other side is to have it first. At every moment one is known to be
  // restored: where the queue ids were moved on before an interruption, nothing else tells the ingress to send nothing.
  for (const { side } of restored) {
    await { clinic, portal }[side].hold('restored')
    await { clinic: portal, portal: clinic }[side].hold(null)
    await emptied(ports, directionFrom(side))
  }

  // Until the end nobody applies anything, and the ingress sends nothing.
  await clinic.hold(is.clinic ? 'restored' : 'repair')
  await portal.hold(is.portal ? 'restored' : 'repair')

  const planned = await planRepair(clinic, portal, restored)
  const rows = await clinic.resumeAfterRestore(planned.seen.clinic)
  await portal.moveQueueIds(planned.seen.portal)
  say(`Queue ids moved on in both databases; ${rows} of the clinic's rows that were on their way are sent anew.`)
  const kept = await portal.keepRows(planned.kept, KEPT_WHY)
  const rekeyed = await portal.moveNoteKeys(planned.lowestKey, planned.rekeyed)
  if (rekeyed > 0) say(`${rekeyed} notes of doctors have another key, since the clinic knows other notes by theirs.`)
  if (is.portal) {
    const edits = await portal.resumeAfterRestore(planned.seen.portal)
    await portal.requeue({ status: ['Queued'], dryRun: false })
    say(`${edits} doctors' edits are sent anew.`)
  }
  const sent = await portal.sendRows(planned.sent)
  await clinic.queueRecords(planned.queued)
  say(
    `${kept} rows of the portal's put on record, ${sent} sent to the clinic, ${planned.queued.length} of the clinic's queued.`,
  )
  // From here on both sides agree on what they know of each other. One that was restored is let go last: it is what tells who runs this
  // again that there is something to finish.
  for (const side of is.clinic ? [portal, clinic] : [clinic, portal]) await side.hold(null)
  return { planned, kept, left: await arrived(ports) }
}

/** Waits for the consumer to take what is left. @throws SyncError SYNC_RESTORED where it does not move */
async function emptied({ waiting, say, patienceMs = EMPTY_MS }: RepairPorts, direction: Direction): Promise<void> {
  let [least, since, quiet] = [Infinity, performance.now(), 0]
  while (quiet < 2) {
    const messages = await waiting(direction)
    quiet = messages === 0 ? quiet + 1 : 0
    if (messages < least) {
      if (messages > 0) say(`${messages} events ${direction} are still on their way: waiting for them …`)
      ;[least, since] = [messages, performance.now()]
    }
    if (messages > 0 && performance.now() - since > patienceMs)
      throw new SyncError(
        'SYNC_RESTORED',
        `${messages} events ${direction} lie in RabbitMQ and are not taken: start that service, see its log; they are of before the restore, and nowhere else`,
      )
    await sleep(quiet === 0 ? LOOK_MS : 50)
  }
}

/** Has everything sent, waits for its outcomes, and compares all once more. */
async function arrived({ clinic, portal, ring, say, patienceMs = ARRIVE_MS }: RepairPorts): Promise<string[] | null> {
  try {
    await ring()
  } catch (error) {
    if (!(error instanceof SyncError)) throw error
    say(`It goes with the next drain: ${error.message} Then run this again, which compares all once more.`)
    return null
  }
  let [least, since] = [Infinity, performance.now()]
  for (;;) {
    const open = (await Promise.all([clinic.outboxStatus(), portal.outboxStatus()])).reduce(
      (sum, { rows }) => sum + rows.Pending + rows.Queued,
      0,
    )
    if (open < least) [least, since] = [open, performance.now()]
    if (open === 0 || performance.now() - since > patienceMs) break
    await sleep(LOOK_MS)
  }
  return stillDiffering(clinic, portal)
}

const has = (restored: readonly RestoredSide[], side: RestoredSide['side']) =>
  restored.some((each) => each.side === side)
