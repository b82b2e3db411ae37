import type { Direction } from '@clinic-sync/contracts'
import { SyncError } from '@clinic-sync/sync'
import type { ConsumeMessage } from 'amqplib'

/**
 * Why a message is in a queue that its sender may not have the right to publish to; null: all is well. A service may publish with its
 * own direction's routing keys only, but RabbitMQ 3.10 to 4.0 look at the first key alone, not at those of the headers CC and
 * BCC, by which a message reaches further queues. It is the first that a delivery shows. The queue's own name: an operator has
 * moved it there in the management UI.
 */
export function strayed(
  { fields: { routingKey } }: Pick<ConsumeMessage, 'fields'>,
  direction: Direction,
  queue: string,
): SyncError | null {
  if (routingKey === queue || routingKey.startsWith(`${direction}.`)) return null
  return new SyncError(
    'SYNC_BAD_MESSAGE',
    `it was sent to ${queue} by a copy (header CC or BCC), with a routing key that is not ${direction}'s: none of our services does`,
  )
}
