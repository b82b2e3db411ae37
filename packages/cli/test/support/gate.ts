import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import type { Test } from 'tap'

/** A port that leads to a server, and can be shut: connections end, and new ones are refused. */
export async function openGate(t: Test, host: string, port: number) {
  const sockets = new Set<Socket>()
  let server: Server | undefined
  let at = 0
  const open = async () => {
    server = createServer((near) => {
      const far = connect({ host, port })
      for (const [one, other] of [
        [near, far],
        [far, near],
      ] as const) {
        sockets.add(one)
        one.on('error', () => undefined)
        one.on('close', () => {
          sockets.delete(one)
          other.destroy()
        })
        one.pipe(other)
      }
    })
    server.listen(at, '127.0.0.1')
    await once(server, 'listening')
    at = (server.address() as AddressInfo).port
  }
  const shut = async () => {
    const closing = server
    server = undefined
    const closed = closing && once(closing, 'close')
    closing?.close()
    for (const socket of sockets) socket.destroy()
    await closed
  }
  await open()
  t.teardown(shut)
  return { port: at, open, shut }
}

/** The same server, behind a gate. */
export async function gated(t: Test, text: string) {
  const url = new URL(text)
  const gate = await openGate(t, url.hostname, Number(url.port))
  url.host = `127.0.0.1:${gate.port}`
  return { url: url.href, ...gate }
}
