import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import type { Test } from 'tap'

/** Type, channel and size before the payload of an AMQP frame; an end mark behind it. */
const HEADER = 7
const END = 1
const METHOD = 1
const DELIVER = { classId: 60, methodId: 60 }

/**
 * A way to RabbitMQ on which a channel comes to a halt: after `letters` deliveries its frames come `ms` late, those of the other
 * channels as ever. So it is when RabbitMQ has much to read for one of them.
 */
export async function slowChannel(
  t: Test,
  target: string,
  { letters, ms }: { letters: number; ms: number },
): Promise<string> {
  const { hostname, port } = new URL(target)
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname)
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => {
        client.destroy()
        upstream.destroy()
      })
    }
    client.pipe(upstream)
    const delivered = new Map<number, number>()
    let held: { channel: number; frames: Buffer[] } | null = null
    let left = Buffer.alloc(0)
    upstream.on('data', (chunk: Buffer) => {
      left = Buffer.concat([left, chunk])
      while (left.length >= HEADER && left.length >= HEADER + left.readUInt32BE(3) + END) {
        const length = HEADER + left.readUInt32BE(3) + END
        const frame = left.subarray(0, length)
        left = left.subarray(length)
        const channel = frame.readUInt16BE(1)
        if (isDelivery(frame)) {
          const count = (delivered.get(channel) ?? 0) + 1
          delivered.set(channel, count)
          if (count === letters) {
            held = { channel, frames: [] }
            setTimeout(() => {
              client.write(Buffer.concat(held?.frames ?? []))
              held = null
            }, ms).unref()
          }
        }
        if (held?.channel === channel) held.frames.push(frame)
        else client.write(frame)
      }
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const address = server.address()
  const url = new URL(target)
  url.port = String(typeof address === 'object' && address !== null ? address.port : 0)
  return url.href
}

const isDelivery = (frame: Buffer) =>
  frame[0] === METHOD &&
  frame.readUInt16BE(HEADER) === DELIVER.classId &&
  frame.readUInt16BE(HEADER + 2) === DELIVER.methodId
