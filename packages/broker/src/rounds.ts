import { backoffMs } from '@clinic-sync/sync'
import { acknowledge } from './acknowledge.ts'
import type { BatchConsumerOptions, Delivered, Open } from './consumer.ts'
import type { BatchLimits } from './deliveries.ts'
import { describe } from './errors.ts'
import { sleep } from './wait.ts'

/** Deliveries of 20 after which a message that the consumer itself gives back is stored anew instead. */
const WORN = 10

type RoundOptions = Pick<BatchConsumerOptions, 'publisher' | 'again' | 'log' | 'label'> & { readonly open: Open }

/**
 * Stores everything in hand anew at the end of its queue, and acknowledges it: its deliveries are counted anew, no attempt is
 * counted. Newer events of a record may pass it so: its version tells. Where RabbitMQ does not take it, it stays in hand: `held`.
 */
export async function storeAnew(
  inHand: readonly Delivered[],
  round: number,
  { publisher, again, log, label, open }: RoundOptions,
): Promise<'settled' | 'lost' | 'held'> {
  if (again === undefined || open.noMore.aborted) return 'lost'
  try {
    await publisher.publish(inHand.map(again))
  } catch (error) {
    if (round === 0) log.warn({ consumer: label, messages: inHand.length, ...describe(error) }, 'a batch waits in hand')
    await sleep(backoffMs(round), open.noMore)
    return open.noMore.aborted ? 'lost' : 'held'
  }
  if (open.lost.aborted) return 'lost'
  acknowledge(inHand, undefined, open)
  log.warn({ consumer: label, messages: inHand.length }, 'held for too long: stored anew behind the others')
  return 'settled'
}

/** Before all goes back to its queue: what has gone back often is stored anew, so that an outage never uses up its deliveries. */
export async function renewWorn(
  inHand: readonly Delivered[],
  { publisher, again, log, label, open }: RoundOptions,
): Promise<void> {
  const worn = inHand.filter(({ message }) => deliveriesOf(message) >= WORN)
  if (worn.length === 0 || again === undefined) return
  try {
    await publisher.publish(worn.map(again))
    if (!open.lost.aborted) for (const { message } of worn) open.channel.ack(message)
  } catch (error) {
    log.warn({ consumer: label, messages: worn.length, ...describe(error) }, 'a batch waits in hand')
  }
}

/** How many of these make a batch: at least one. */
export function fitting(messages: readonly Delivered[], { maxBatch, maxBatchBytes }: BatchLimits): number {
  let [count, bytes] = [0, 0]
  for (const { message } of messages) {
    bytes += message.content.length
    if (count > 0 && (count >= maxBatch || bytes > maxBatchBytes)) break
    count++
  }
  return count
}

/** How often RabbitMQ says it has delivered a message before. */
function deliveriesOf({ properties }: Delivered['message']): number {
  const count: unknown = properties.headers?.['x-delivery-count']
  return typeof count === 'number' ? count : 0
}
