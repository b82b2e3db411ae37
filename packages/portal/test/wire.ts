import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import type { Test } from 'tap'

/** One message of the server's to a client: its type's letter, and all of its bytes. */
export interface Message {
  readonly type: string
  readonly bytes: Buffer
}

/** A wire to a Postgres server that understands where the server's messages begin and end. */
export interface Wire {
  readonly url: string
  /** Bytes that clients have sent so far. */
  sent(): number
  /** From here on nothing passes either way, and nobody is told: a half-open connection. */
  swallow(): void
  cut(): void
}

/** @param pass what becomes of a message of the server's; null leaves it out. Nothing: all pass. */
export async function wireTo(
  t: Test,
  url: string,
  pass: (message: Message) => Buffer | null = ({ bytes }) => bytes,
): Promise<Wire> {
  const target = new URL(url)
  const open = new Set<Socket>()
  let sent = 0
  let swallows = false
  const server = createServer((client) => {
    const far = connect(Number(target.port), target.hostname)
    for (const socket of [client, far]) {
      open.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => {
        open.delete(socket)
        if (swallows) return
        client.destroy()
        far.destroy()
      })
    }
    client.on('data', (chunk) => {
      if (swallows) return
      sent += chunk.length
      far.write(chunk)
    })
    let rest = Buffer.alloc(0)
    far.on('data', (chunk) => {
      rest = Buffer.concat([rest, chunk])
      while (rest.length >= 5 && rest.length > rest.readInt32BE(1)) {
        const bytes = rest.subarray(0, rest.readInt32BE(1) + 1)
        const type = String.fromCharCode(bytes[0] ?? 0)
        rest = rest.subarray(bytes.length)
        const passed = swallows ? null : pass({ type, bytes })
        if (passed !== null) client.write(passed)
      }
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const cut = () => {
    for (const socket of open) socket.destroy()
  }
  t.teardown(() => {
    cut()
    server.close()
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return {
    url: Object.assign(new URL(url), { host: `127.0.0.1:${address.port}` }).href,
    sent: () => sent,
    swallow: () => void (swallows = true),
    cut,
  }
}
