import { backoffMs, SyncError } from '@clinic-sync/sync'
import type { Channel, ChannelModel } from 'amqplib'
import { sleep, within } from '../wait.ts'

/** Exclusive to a connection, and gone with it, however its process ends. */
const LOCK = 'sync.dead.lock'
/** RabbitMQ's RESOURCE_LOCKED. */
const LOCKED = 405

/**
 * Waits until nobody else is at work on the dead letters, and keeps them for this connection until it closes. Two that looked at
 * once would each see a part: what one holds, RabbitMQ shows to no other.
 *
 * @param ms how long to wait.
 * @throws SyncError SYNC_DEAD_LETTERS_BUSY
 */
export async function lockDeadLetters(model: ChannelModel, ms: number): Promise<void> {
  const deadline = performance.now() + ms
  for (let attempt = 0; !(await locked(model)); attempt++) {
    const left = deadline - performance.now()
    if (left <= 0) {
      throw new SyncError(
        'SYNC_DEAD_LETTERS_BUSY',
        `Another command, or the ingress, has been at work on the dead letters for ${Math.round(ms / 1000)} s`,
      )
    }
    await sleep(Math.min(left, backoffMs(attempt), 1_000), new AbortController().signal)
  }
}

/** A refusal closes the channel, so each attempt has its own. The queue outlives the channel: it is the connection's. */
async function locked(model: ChannelModel): Promise<boolean> {
  const channel: Channel = await model.createChannel()
  let refused = false
  channel.on('error', (error: { code?: unknown }) => {
    refused = error.code === LOCKED
  })
  try {
    await channel.assertQueue(LOCK, { exclusive: true, durable: false, autoDelete: false })
    await within(1_000, channel.close())
    return true
  } catch (error) {
    if (refused || (error as { code?: unknown }).code === LOCKED) return false
    throw error
  }
}
