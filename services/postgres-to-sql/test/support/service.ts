import type { Outcome, OutcomeBatch } from '@clinic-sync/contracts'
import { outcomeQueue, startEventConsumer, type Broker, type Consumer } from '@clinic-sync/broker'
import { openClinic } from '@clinic-sync/clinic'
import { pino } from 'pino'
import type { Test } from 'tap'
import { keepLines, testBroker, type Lines } from '../../../../packages/broker/test/support/helpers.ts'
import type { TestRabbit } from '../../../../packages/broker/test/support/rabbit.ts'

export const direction = 'postgres-to-sql'
export const retryDelaysMs = [200, 300, 400]

/** Files of this service that run as processes of their own. */
export const MAIN = new URL('../../src/main.ts', import.meta.url).href
export const CONSUMER = new URL('consumer-process.ts', import.meta.url).href

export interface Here {
  readonly broker: Broker
  readonly consumer: Consumer
  readonly lines: Lines['lines']
  /** Stops consuming. */
  close(): Promise<void>
}

/** The consumer in this process. */
export async function consumeHere(t: Test, rabbit: TestRabbit, url: string): Promise<Here> {
  const log = keepLines()
  const clinic = await openClinic({ url, timeZone: 'Asia/Baghdad', log: pino({ level: 'silent' }) })
  t.teardown(() => clinic.close())
  const broker = await testBroker(t, rabbit.url, { retryDelaysMs, log })
  const consumer = startEventConsumer({ broker, direction, target: clinic, log })
  await broker.ready()
  return { broker, consumer, lines: log.lines, close: () => broker.close() }
}

/** Publishes without consuming. */
export async function publish(t: Test, rabbit: TestRabbit, events: Parameters<Broker['publishEvents']>[0]) {
  const broker = await testBroker(t, rabbit.url, { retryDelaysMs })
  await broker.ready()
  await broker.publishEvents(events)
  await broker.close()
}

/** Takes the outcomes that have been reported since the last time. */
export const outcomesOf = async (rabbit: TestRabbit): Promise<Outcome[]> =>
  (await rabbit.take(outcomeQueue(direction))).flatMap(
    ({ content }) => (JSON.parse(content.toString()) as OutcomeBatch).outcomes,
  )

/** How many of each kind. */
export function tally(all: readonly Outcome[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { outcome } of all) counts[outcome] = (counts[outcome] ?? 0) + 1
  return counts
}
