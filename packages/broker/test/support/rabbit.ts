import { randomUUID } from 'node:crypto'
import { connect, type ChannelModel, type ConfirmChannel, type ConsumeMessage } from 'amqplib'
import type { Test } from 'tap'

const amqp = new URL(process.env.TEST_RABBIT ?? 'amqp://guest:guest@127.0.0.1:25672')
const management = 'http://127.0.0.1:25673/api'

export interface TestRabbit {
  readonly url: string
  /** Has RabbitMQ close both connections of the broker whose name begins so. */
  readonly closeConnections: (prefix: string) => Promise<void>
  /** A bare connection, for what only a test does. */
  readonly channel: ConfirmChannel
  /** Takes all messages of a queue away. */
  readonly take: (queue: string) => Promise<ConsumeMessage[]>
}

export async function testRabbit(t: Test): Promise<TestRabbit> {
  const vhost = `test-${randomUUID()}`
  const admin = async (method: string, path: string) => {
    const response = await fetch(`${management}/${path}`, {
      method,
      headers: {
        authorization: `Basic ${Buffer.from(`${amqp.username}:${amqp.password}`).toString('base64')}`,
        'content-type': 'application/json',
      },
    })
    const text = await response.text()
    if (!response.ok && response.status !== 404) throw new Error(`${method} ${path}: ${response.status}`)
    return text === '' ? null : (JSON.parse(text) as unknown)
  }
  await admin('PUT', `vhosts/${vhost}`)
  const url = `${amqp.href.replace(/\/$/, '')}/${vhost}`
  const model: ChannelModel = await connect(url)
  model.on('error', () => undefined)
  const channel = await model.createConfirmChannel()
  channel.on('error', () => undefined)
  t.teardown(async () => {
    await model.close().catch(() => undefined)
    await admin('DELETE', `vhosts/${vhost}`)
  })
  // No basic.get: queues with a single active consumer refuse it. A last message of our own marks the end.
  const take = async (queue: string) => {
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
  // Listed by name only some time after they open: asked until there are as many as a broker has.
  const closeConnections = async (prefix: string) => {
    type Listed = { name: string; vhost: string; client_properties: { connection_name?: string } }
    for (let closed = 0; closed < 2;) {
      const listed = (await admin('GET', 'connections')) as Listed[]
      for (const { name, vhost: where, client_properties: client } of listed) {
        if (where !== vhost || client.connection_name?.startsWith(prefix) !== true) continue
        await admin('DELETE', `connections/${encodeURIComponent(name)}`)
        closed++
      }
    }
  }
  return { url, closeConnections, channel, take }
}
