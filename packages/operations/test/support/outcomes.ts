import { DEAD } from '@clinic-sync/broker'
import type { Direction } from '@clinic-sync/contracts'
import type { ConfirmChannel } from 'amqplib'

/** A batch of outcomes that the ingress could not settle, as it lies among the dead letters. */
export async function sendOutcomes(channel: ConfirmChannel, direction: Direction): Promise<void> {
  const batch = { direction, outcomes: [{ table: 'work', key: 1, version: '1', outcome: 'applied' }] }
  const options = { messageId: 'batch', type: 'sync.outcomes.v1', headers: { 'sync-direction': direction } }
  channel.publish(DEAD, `${direction}.consumer`, Buffer.from(JSON.stringify(batch)), options)
  await channel.waitForConfirms()
}
