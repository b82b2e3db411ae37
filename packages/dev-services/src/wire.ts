import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import type { Test } from './testing.ts'

/** A wire to a server, which can be cut, and counts what clients send. */
export interface Wire {
  /** The server's address, by way of the wire. */
  readonly url: string
  /** Bytes that clients have sent so far, over all connections. */
  sent(): number
  /** Ends every connection, and every new one at once. */
  cut(): void
  mend(): void
}

export async function wireTo(t: Test, url: string): Promise<Wire> {
  const target = new URL(url)
  const open = new Set<Socket>()
  let sent = 0
  let isCut = false
  const server = createServer((client) => {
    if (isCut) return client.destroy()
    const far = connect(Number(target.port), target.hostname)
    for (const socket of [client, far]) {
      open.add(socket)
      // A cut wire is an error to its ends, not to the test.
      socket.on('error', () => undefined)
      socket.on('close', () => {
        open.delete(socket)
        client.destroy()
        far.destroy()
      })
    }
    client.on('data', (chunk) => (sent += chunk.length))
    client.pipe(far).pipe(client)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of open) socket.destroy()
    server.close()
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return {
    url: Object.assign(new URL(url), { host: `127.0.0.1:${address.port}` }).href,
    sent: () => sent,
    cut() {
      isCut = true
      for (const socket of open) socket.destroy()
    },
    mend: () => void (isCut = false),
  }
}
