import {
  type DeadLetterBox,
  openDeadLetterBox,
  openSender,
  type Sender,
  watchOutcomes,
  type WatchOutcomesOptions,
} from '@clinic-sync/broker'
import { type Direction, type Settlement, type Side, sourceOf, type SyncEvent } from '@clinic-sync/contracts'
import type { Operable, Rehearsal, SyncDatabase } from '@clinic-sync/sync'
import { randomBytes } from 'node:crypto'
import { bounded } from '../bounded.ts'
import { judge, type Judged } from './letter.ts'
import type { ReplayPorts } from './replay.ts'

/** Everything that work on dead letters needs, until it is closed: all letters in hand, and both databases. */
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
  /** Gives the letters back. The databases stay open. */
  close(): Promise<void>
}

export type YardDatabase = Pick<Operable, 'recordVersions' | 'rehearse'> & Pick<SyncDatabase, 'settleChanges'>

export interface YardOptions {
  readonly rabbitmqUrl: string
  readonly databases: Readonly<Record<Side, YardDatabase>>
  readonly log: WatchOutcomesOptions['log']
  /** Shown in RabbitMQ's list of connections, with a number of its own. */
  readonly name: string
  /** How long to wait for another's end, and for each connection to RabbitMQ. Milliseconds; default 10 s, and 15 s. */
  readonly waitMs?: number
  /** How long an outbox may take to say what became of the letters. Milliseconds; default 20 s. */
  readonly patienceMs?: number
}

const PATIENCE_MS = 20_000

/**
 * Takes all dead letters in hand, and asks the outboxes what became of them.
 *
 * @throws SyncError SYNC_CONFIG, SYNC_BROKER_DOWN, SYNC_DEAD_LETTERS_BUSY. A database that is away is none: see `unasked`.
 */
export async function openYard(options: YardOptions): Promise<Yard> {
  const { rabbitmqUrl: url, databases, log, waitMs, patienceMs = PATIENCE_MS } = options
  const source = (direction: Direction) => databases[sourceOf(direction)]
  const target = (direction: Direction) => databases[sourceOf(direction) === 'clinic' ? 'portal' : 'clinic']
  // Two operators' connections can be told apart in RabbitMQ's list.
  const name = `${options.name} ${randomBytes(3).toString('hex')}`
  const connect = waitMs === undefined ? {} : { connectMs: waitMs }
  let sender: Promise<Sender> | undefined
  const box = await openDeadLetterBox({ url, name, ...(waitMs === undefined ? {} : { waitMs }) })
  const close = async () => {
    await box.close()
    await (await sender?.catch(() => undefined))?.close()
  }
  try {
    const judged = await judge(box.letters, async (direction, records) => {
      const found = await bounded(NAMES[direction], () => source(direction).recordVersions(records), patienceMs)
      return 'error' in found ? found.error : found.facts
    })
    return {
      ...judged,
      box,
      sender: () => (sender ??= openSender({ url, name, ...connect })),
      watch: (direction, onOutcomes) => watchOutcomes({ url, log, name, direction, onOutcomes, ...connect }),
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
