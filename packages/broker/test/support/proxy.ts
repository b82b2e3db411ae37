import { connect, createServer, type Socket } from 'node:net'
import { once } from 'node:events'
import type { Test } from 'tap'

/** A TCP proxy before RabbitMQ, which can cut, refuse and silence connections. */
export interface Proxy {
  readonly url: string
  /** Destroys every connection, without a goodbye. */
  cut(): void
  /** Passes nothing on and closes nothing, for connections that exist and new ones: a dead network. */
  silent: boolean
  /** New connections are cut when this many bytes have come from RabbitMQ; null: they live. */
  cutAfter: number | null
  /** New connections are cut at once. */
  refuse: boolean
  /** Connections accepted so far. */
  readonly accepted: number
}

export async function proxyTo(t: Test, target: string): Promise<Proxy> {
  const { hostname, port } = new URL(target)
  const sockets = new Set<Socket>()
  const proxy = {
    url: '',
    cutAfter: null as number | null,
    refuse: false,
    accepted: 0,
    silent: false,
    cut: () => {
      for (const socket of sockets) socket.destroy()
    },
  }
  const server = createServer((client) => {
    proxy.accepted++
    if (proxy.refuse) return void client.destroy()
    const limit = proxy.cutAfter
    let bytes = 0
    const upstream = connect(Number(port), hostname)
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.setNoDelay(true)
      socket.on('error', () => undefined)
      socket.on('close', () => {
        sockets.delete(socket)
        client.destroy()
        upstream.destroy()
      })
    }
    client.on('data', (chunk: Buffer) => {
      if (!proxy.silent) upstream.write(chunk)
    })
    upstream.on('data', (chunk: Buffer) => {
      if (proxy.silent) return
      bytes += chunk.length
      if (limit !== null && bytes > limit) {
        client.end(chunk.subarray(0, chunk.length - (bytes - limit)))
        client.destroy()
      } else client.write(chunk)
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const url = new URL(target)
  url.port = String(typeof address === 'object' && address !== null ? address.port : 0)
  proxy.url = url.href
  t.teardown(() => {
    proxy.cut()
    server.close()
  })
  return proxy
}
