import { outcomeQueue, startEventConsumer, type Broker, type Consumer } from '@clinic-sync/broker'
import type { Direction, Outcome, OutcomeBatch } from '@clinic-sync/contracts'
import type { SyncDatabase } from '@clinic-sync/sync'
import type { Test } from 'tap'
import { keepLines, testBroker } from '../../../../packages/broker/test/support/helpers.ts'
import type { TestRabbit } from '../../../../packages/broker/test/support/rabbit.ts'

/** Instead of 5 s, 60 s and 10 min. */
export const retryDelaysMs = [200, 300, 400]

export interface Here {
  readonly broker: Broker
  readonly consumer: Consumer
}

/** A direction's consumer in this process. Closing its broker ends it. `patienceMs`: for records that are locked. */
export async function consumeInto(
  t: Test,
  rabbit: TestRabbit,
  direction: Direction,
  target: Pick<SyncDatabase, 'applyChanges' | 'check' | 'close'>,
  patienceMs = 1_000,
): Promise<Here> {
  const log = keepLines()
  t.teardown(() => target.close())
  const broker = await testBroker(t, rabbit.url, { retryDelaysMs, log })
  // What is applied before the way to publish is open is applied again, and reported as a duplicate.
  await broker.ready()
  const consumer = startEventConsumer({ broker, direction, target, log, patienceMs })
  return { broker, consumer }
}

/** Publishes without consuming. */
export async function publish(t: Test, rabbit: TestRabbit, events: Parameters<Broker['publishEvents']>[0]) {
  const broker = await testBroker(t, rabbit.url, { retryDelaysMs })
  await broker.ready()
  await broker.publishEvents(events)
  await broker.close()
}

/** Takes the outcomes that have been reported since the last time. */
export const takeOutcomes = async (rabbit: TestRabbit, direction: Direction): Promise<Outcome[]> =>
  (await rabbit.take(outcomeQueue(direction))).flatMap(
    ({ content }) => (JSON.parse(content.toString()) as OutcomeBatch).outcomes,
  )

/** How many of each kind. */
export function tally(all: readonly Outcome[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { outcome } of all) counts[outcome] = (counts[outcome] ?? 0) + 1
  return counts
}

export const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index)
