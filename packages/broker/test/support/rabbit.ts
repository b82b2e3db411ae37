import { randomUUID } from 'node:crypto'
import { connect, type ConfirmChannel, type ConsumeMessage } from 'amqplib'
import { testVhost } from '@clinic-sync/dev-services/testing'
import type { Test } from 'tap'

export interface TestRabbit {
  readonly url: string
  /** Has RabbitMQ close both connections of the broker whose name begins so. */
  readonly closeConnections: (prefix: string) => Promise<void>
  /** A bare channel, for what only a test does. */
  readonly channel: ConfirmChannel
  /** Takes all messages of a queue away. */
  readonly take: (queue: string) => Promise<ConsumeMessage[]>
}

/** A virtual host, and a connection to look into it. */
export async function testRabbit(t: Test): Promise<TestRabbit> {
  // Teardowns run in reverse: the connection goes before its virtual host.
  const { url, name, managementUrl } = await testVhost(t)
  const model = await connect(url)
  model.on('error', () => undefined)
  t.teardown(() => model.close().catch(() => undefined))
  const channel = await model.createConfirmChannel()
  channel.on('error', () => undefined)
  return {
    url,
    channel,
    take: (queue) => take(channel, queue),
    closeConnections: (prefix) => closeConnections(managementUrl, name, prefix),
  }
}

/** No basic.get: queues with a single active consumer refuse it. A last message of our own marks the end. */
async function take(channel: ConfirmChannel, queue: string): Promise<ConsumeMessage[]> {
  const taken: ConsumeMessage[] = []
  const end = randomUUID()
  channel.sendToQueue(queue, Buffer.from(''), { messageId: end })
  await channel.waitForConfirms()
  let seen: () => void = () => undefined
  const all = new Promise<void>((resolve) => {
    seen = resolve
  })
  const { consumerTag } = await channel.consume(queue, (message) => {
    if (message === null) return
    channel.ack(message)
    if (message.properties.messageId === end) seen()
    else taken.push(message)
  })
  await all
  await channel.cancel(consumerTag)
  return taken
}

interface Listed {
  readonly name: string
  readonly vhost: string
  readonly client_properties: { readonly connection_name?: string }
}

/** RabbitMQ lists a connection some seconds after it has opened: asked until both are there. */
async function closeConnections(management: string, vhost: string, prefix: string): Promise<void> {
  const { origin, username, password } = new URL(management)
  const headers = { authorization: `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}` }
  const closed = new Set<string>()
  while (closed.size < 2) {
    const listed = (await (await fetch(`${origin}/api/connections`, { headers })).json()) as Listed[]
    for (const { name, vhost: where, client_properties: client } of listed) {
      if (where !== vhost || client.connection_name?.startsWith(prefix) !== true || closed.has(name)) continue
      closed.add(name)
      await fetch(`${origin}/api/connections/${encodeURIComponent(name)}`, { method: 'DELETE', headers })
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
