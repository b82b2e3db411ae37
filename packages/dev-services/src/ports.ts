import { createServer } from 'node:net'

/**
 * Below the range that Linux takes outgoing connections' ports from (32768–60999), so that no client of anybody takes the
 * port between this look and the service's own bind; and clear of 35672–35682, RabbitMQ's command-line tools.
 */
const LOW = 20_000
const HIGH = 32_000

const taken = new Set<number>()

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)))
  })
}

/** `count` TCP ports that are free on 127.0.0.1 now, random ones, none given out twice by this process. */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = []
  while (ports.length < count) {
    const port = LOW + Math.floor(Math.random() * (HIGH - LOW))
    if (taken.has(port)) continue
    taken.add(port)
    if (await isFree(port)) ports.push(port)
    else taken.delete(port)
  }
  return ports
}
