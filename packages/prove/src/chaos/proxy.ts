import { connect, createServer, type Socket } from 'node:net'

/** Where the connections of one service to one server pass through, so that they can be cut. */
export interface Proxy {
  readonly port: number
  /** Connections now open. */
  count(): number
  /** Resets connections, as a router that forgets them: all, or the one at that place, counted round and round. */
  cut(which: 'all' | number): void
  /** From now on nothing passes, in either direction, and nothing is refused; until `resume`. */
  stall(): void
  resume(): void
  close(): Promise<void>
}

interface Pair {
  readonly near: Socket
  readonly far: Socket
}

/** Listens on a free port of 127.0.0.1 and passes everything on to that host and port. */
export async function openProxy(host: string, port: number): Promise<Proxy> {
  const pairs = new Set<Pair>()
  let stalled = false

  const flow = ({ near, far }: Pair) => {
    for (const socket of [near, far]) {
      if (stalled) socket.pause()
      else socket.resume()
    }
  }
  const drop = (pair: Pair) => {
    pairs.delete(pair)
    for (const socket of [pair.near, pair.far]) socket.resetAndDestroy()
  }

  const server = createServer({ noDelay: true }, (near) => {
    const far = connect({ host, port, noDelay: true })
    const pair = { near, far }
    pairs.add(pair)
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on('error', () => drop(pair))
      from.on('data', (data) => {
        // What has been read is passed on; the rest waits in the kernel.
        if (!to.write(data)) from.pause()
      })
      to.on('drain', () => {
        if (!stalled) from.resume()
      })
      from.on('end', () => to.end())
      from.on('close', () => {
        pairs.delete(pair)
        to.destroySoon()
      })
    }
    flow(pair)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')

  return {
    port: address.port,
    count: () => pairs.size,
    cut(which) {
      const open = [...pairs]
      const doomed = which === 'all' ? open : open.slice(which % Math.max(1, open.length)).slice(0, 1)
      for (const pair of doomed) drop(pair)
    },
    stall() {
      stalled = true
      for (const pair of pairs) flow(pair)
    },
    resume() {
      stalled = false
      for (const pair of pairs) flow(pair)
    },
    async close() {
      for (const pair of pairs) drop(pair)
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const DEFAULT_PORTS: Readonly<Record<string, number>> = {
  'mssql:': 1433,
  'postgres:': 5432,
  'postgresql:': 5432,
  'amqp:': 5672,
}

/**
 * The host and port of a server's address; null where no proxy can stand in between: the server is named by other means, or its
 * certificate would not be that of 127.0.0.1.
 */
export function placeOf(address: string): { host: string; port: number } | null {
  const url = new URL(address)
  const port = url.port === '' ? DEFAULT_PORTS[url.protocol] : Number(url.port)
  const { searchParams } = url
  const named = searchParams.has('instanceName') || searchParams.has('host')
  const checked =
    url.protocol === 'mssql:'
      ? searchParams.get('encrypt') !== 'false' && searchParams.get('trustServerCertificate') !== 'true'
      : searchParams.get('sslmode') === 'verify-full'
  if (port === undefined || named || checked) return null
  return { host: url.hostname.replace(/^\[(.*)\]$/, '$1'), port }
}

/** The same address by way of a port of 127.0.0.1. */
export function byWayOf(address: string, port: number): string {
  const url = new URL(address)
  url.hostname = '127.0.0.1'
  url.port = String(port)
  return url.href
}
