import { connect, createServer } from 'node:net'
import { Pair } from './proxy-pair.ts'

/** Where the connections of one service to one server pass through, so that they can be cut, held up and lost. */
export interface Proxy {
  readonly port: number
  /** Connections that the clients hold open now. */
  count(): number
  /** Resets connections, as a router that forgets them: all, or the one at that place, counted round and round. */
  cut(which: 'all' | number): void
  /** From now on nothing passes, in either direction, and nothing is refused; until `resume`, which lets all of it arrive. */
  stall(): void
  /**
   * From now on what is sent vanishes, in both directions, and neither end is told anything, not even that the other has
   * closed; connections are accepted and get no answer. Keepalive probes are answered: the proxy is there. Until `resume`;
   * a connection that has lost something stays silent even then, since what follows would make no sense without it.
   */
  vanish(): void
  /** From now on everything arrives that many milliseconds late, each way; 0 or `resume` ends it. */
  delay(ms: number): void
  /** Undoes `stall`, `vanish` and `delay`. */
  resume(): void
  close(): Promise<void>
}

/** Listens on a free port of 127.0.0.1 and passes everything on to that host and port. */
export async function openProxy(host: string, port: number): Promise<Proxy> {
  const pairs = new Set<Pair>()
  const weather = { stalled: false, vanishing: false, delayMs: 0 }

  const server = createServer({ noDelay: true, allowHalfOpen: true }, (near) => {
    const far = weather.vanishing ? null : connect({ host, port, noDelay: true, allowHalfOpen: true })
    const pair = new Pair(near, far, weather, () => pairs.delete(pair))
    pairs.add(pair)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')

  function change(to: Partial<typeof weather>): void {
    Object.assign(weather, to)
    for (const pair of pairs) pair.weatherChanged()
  }

  return {
    port: address.port,
    count: () => [...pairs].filter((pair) => pair.held).length,
    cut(which) {
      const open = [...pairs]
      const doomed = which === 'all' ? open : open.slice(which % Math.max(1, open.length)).slice(0, 1)
      for (const pair of doomed) pair.drop()
    },
    stall: () => change({ stalled: true }),
    vanish: () => change({ vanishing: true }),
    delay: (delayMs) => change({ delayMs }),
    resume: () => change({ stalled: false, vanishing: false, delayMs: 0 }),
    async close() {
      for (const pair of pairs) pair.drop()
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
