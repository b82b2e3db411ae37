import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Test } from 'tap'

/** When the server is lost: before it gets the request, or once it has done it, before its answer arrives. */
export type Moment = 'before' | 'after'

/** `gone`: connections end, and so do new ones; `silent`: nothing arrives any more, and nobody is told. Or what does it: all passes here. */
export type Loss = 'gone' | 'silent' | (() => void)

/** The way to a database server, unencrypted, on which it is lost at a request that names `text`. */
export interface Tripwire {
  readonly url: string
  /** @param nth of the requests that name it */
  set(text: string, moment: Moment, loss: Loss, nth?: number): void
  /** Whether the request came, and the server was lost at it. */
  readonly tripped: boolean
  mend(): void
}

/** @param encoding of the requests' texts: Postgres's, SQL Server's */
export async function tripwire(t: Test, url: string, encoding: 'utf8' | 'utf16le'): Promise<Tripwire> {
  const target = new URL(url)
  const sockets = new Set<Socket>()
  let trap: { readonly bytes: Buffer; readonly moment: Moment; readonly lose: () => boolean; left: number } | null =
    null
  let [refusing, silent, tripped] = [false, false, false]
  // A silent server does not even answer a goodbye.
  const server = createServer({ allowHalfOpen: true }, (near) => {
    if (refusing) return void near.destroy()
    const far = connect({ port: Number(target.port), host: target.hostname, allowHalfOpen: true })
    let armed: typeof trap = null
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one)
      one.setNoDelay(true)
      one.on('error', () => undefined)
      one.on('end', () => void (silent || other.end()))
      one.on('close', () => {
        sockets.delete(one)
        if (!silent) other.destroy()
      })
    }
    near.on('data', (chunk) => {
      if (silent) return
      if (trap !== null && chunk.includes(trap.bytes) && --trap.left === 0) {
        if (trap.moment === 'after') armed = trap
        else if (trap.lose()) return
      }
      far.write(chunk)
    })
    far.on('data', (chunk) => {
      if (silent) return
      const lost = armed?.lose() ?? false
      armed = null
      if (!lost) near.write(chunk)
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const cut = () => {
    for (const socket of sockets) socket.destroy()
  }
  t.teardown(() => {
    silent = false
    cut()
    server.close()
  })
  return {
    url: Object.assign(new URL(url), { host: `127.0.0.1:${port}` }).href,
    get tripped() {
      return tripped
    },
    set(text, moment, loss, nth = 1) {
      tripped = false
      trap = {
        bytes: Buffer.from(text, encoding),
        moment,
        left: nth,
        lose() {
          ;[trap, tripped] = [null, true]
          if (typeof loss === 'function') loss()
          else if (loss === 'silent') silent = true
          else {
            refusing = true
            cut()
          }
          return typeof loss !== 'function'
        },
      }
    },
    mend() {
      ;[trap, refusing] = [null, false]
      cut()
      silent = false
    },
  }
}
