import { type DeadLetterBox, openDeadLetterBox, openSender, type Sender, watchOutcomes } from '@clinic-sync/broker'
import { openClinic } from '@clinic-sync/clinic'
import { sourceOf, type Direction, type Settlement, type SyncEvent } from '@clinic-sync/contracts'
import { judge, type Judged, type ReplayPorts } from '@clinic-sync/operations'
import { openPortal } from '@clinic-sync/portal'
import { createLogger, type Environment, readSettings } from '@clinic-sync/runtime'
import type { Rehearsal } from '@clinic-sync/sync'
import { randomBytes } from 'node:crypto'
import { bounded } from '../doctor/bounded.ts'

/** Everything that a command on dead letters works with, until it is closed: all letters in hand, and both databases. */
export interface Yard extends Judged {
  readonly box: DeadLetterBox
  /** Made when it is first asked for. */
  sender(): Promise<Sender>
  readonly watch: ReplayPorts['watch']
  readonly recordVersions: ReplayPorts['recordVersions']
  /** What an event would do to its target. */
  rehearse(direction: Direction, event: SyncEvent): Promise<Rehearsal>
  /** Tells the outbox of the direction's source. */
  settle(direction: Direction, settlements: readonly Settlement[]): Promise<void>
  /** Gives the letters back. */
  close(): Promise<void>
}

/** How long an outbox may take to say what became of the letters. Milliseconds. */
const PATIENCE_MS = 20_000

/**
 * @throws SyncError SYNC_CONFIG, SYNC_BROKER_DOWN, SYNC_DEAD_LETTERS_BUSY. A database that is away is none: see `unasked`.
 */
export async function openYard(environment: Environment): Promise<Yard> {
  const settings = readSettings(['SQLSERVER_URL', 'POSTGRES_URL', 'RABBITMQ_URL', 'CLINIC_TIME_ZONE'], environment)
  const log = createLogger({ name: 'dead-letters', level: 'silent' })
  const clinic = await openClinic({ url: settings.SQLSERVER_URL, timeZone: settings.CLINIC_TIME_ZONE, log })
  const portal = await openPortal({ url: settings.POSTGRES_URL, log })
  const source = (direction: Direction) => (sourceOf(direction) === 'clinic' ? clinic : portal)
  const target = (direction: Direction) => (sourceOf(direction) === 'clinic' ? portal : clinic)
  const url = settings.RABBITMQ_URL
  // Two operators' connections can be told apart in RabbitMQ's list.
  const name = `dead-letters ${randomBytes(3).toString('hex')}`
  let box: DeadLetterBox | undefined
  let sender: Promise<Sender> | undefined
  const close = async () => {
    await box?.close()
    await (await sender?.catch(() => undefined))?.close()
    await Promise.all([clinic.close(), portal.close()])
  }
  try {
    box = await openDeadLetterBox({ url, name })
    const judged = await judge(box.letters, async (direction, records) => {
      const found = await bounded(NAMES[direction], () => source(direction).recordVersions(records), PATIENCE_MS)
      return 'error' in found ? found.error : found.facts
    })
    return {
      ...judged,
      box,
      sender: () => (sender ??= openSender({ url, name })),
      watch: (direction, onOutcomes) => watchOutcomes({ url, log, name, direction, onOutcomes }),
      recordVersions: (direction, records) => source(direction).recordVersions(records),
      rehearse: (direction, event) => target(direction).rehearse(event),
      settle: (direction, settlements) => source(direction).settleChanges(settlements),
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

const NAMES: Readonly<Record<Direction, string>> = {
  'sql-to-postgres': "The clinic's database",
  'postgres-to-sql': "The portal's database",
}
