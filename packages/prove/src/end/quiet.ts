import { setTimeout as delay } from 'node:timers/promises'
import { DIRECTIONS, eventQueues, outcomeQueue, retryQueue } from '@clinic-sync/broker'
import type { Bells } from '../chaos/bells.ts'
import type { Copies } from '../chaos/copies.ts'
import type { Crew } from '../chaos/crew.ts'
import type { Books, OpenRow } from './books.ts'

const MOVING = [...DIRECTIONS.flatMap(eventQueues), ...DIRECTIONS.map(outcomeQueue), retryQueue(1)]
/** What is in there waits for a minute or for ten: longer than anybody wants to look on. */
const LONG_RETRIES = [retryQueue(2), retryQueue(3)]

const LOOK_MS = 150

export interface QuietOptions {
  readonly crew: Crew
  readonly bells: Bells
  readonly copies: Copies
  readonly books: Books
  readonly patienceMs: number
}

/** It never became quiet: outbox rows stay open, or messages stay in queues. */
export class NotQuiet extends Error {
  override name = 'NotQuiet'
  readonly open: readonly OpenRow[]

  constructor(open: readonly OpenRow[], waiting: number) {
    const some = open.slice(0, 5).map(({ side, record, status, error }) => `${side} ${record} ${status} ${error ?? ''}`)
    super(`${open.length} outbox rows are open, ${waiting} messages wait. ${some.join('; ')}`.trim())
    this.open = open
  }
}

/**
 * Puts everything back in its place, waits until both outboxes and all queues are empty, then delivers the late copies and
 * waits once more.
 *
 * @throws NotQuiet when that takes too long
 */
export async function untilQuiet(options: QuietOptions): Promise<void> {
  const { crew, bells, copies } = options
  await crew.everybodyUp()
  if (await bells.wasLost()) await bells.trigger()
  await settled(options)
  await copies.deliverRest()
  await settled(options)
}

/** Waits until no outbox row is open and no message waits, seen twice in a row: a message on its way is in no queue. */
export async function settled({ copies, books, patienceMs }: Omit<QuietOptions, 'crew' | 'bells'>): Promise<void> {
  const deadline = performance.now() + patienceMs
  let empty = 0
  while (empty < 2) {
    const open = await books.outbox('Pending', 'Queued')
    const waiting = await copies.waiting([...MOVING, ...LONG_RETRIES])
    empty = open.length === 0 && waiting === 0 ? empty + 1 : 0
    if (performance.now() > deadline) throw new NotQuiet(open, waiting)
    // Once nothing else is under way: a parent that was waited for is there by then.
    if (waiting > 0 && (await copies.waiting(MOVING)) === 0) await copies.hurry(LONG_RETRIES)
    await delay(LOOK_MS)
  }
}

/** Returns what has grown while nobody did anything: a loop. */
export async function loops(books: Books, watchMs: number): Promise<string | null> {
  const before = await books.growth()
  await delay(watchMs)
  const after = await books.growth()
  const grown = (['clinic', 'portal'] as const).filter((side) => before[side] !== after[side])
  if (grown.length === 0) return null
  return grown.map((side) => `the ${side}'s outbox went from ${before[side]} to ${after[side]}`).join('; ')
}
