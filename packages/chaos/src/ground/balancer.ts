import { connect, createServer, type Socket } from 'node:net'

/** One address for the nodes of a cluster, as a load balancer in front of them. */
export interface Balancer {
  readonly port: number
  close(): Promise<void>
}

/** Each new connection goes to the next node that accepts one; where none does, it is closed. */
export async function openBalancer(ports: readonly number[]): Promise<Balancer> {
  const open = new Set<Socket>()
  let turn = 0
  const server = createServer({ noDelay: true, pauseOnConnect: true }, (near) => {
    open.add(near)
    near.on('error', () => near.destroy())
    near.once('close', () => open.delete(near))
    const from = turn++
    const tryNext = (tried: number) => {
      const port = ports[(from + tried) % ports.length]
      if (port === undefined || tried >= ports.length || near.destroyed) return void near.destroy()
      const far = connect({ port, host: '127.0.0.1', noDelay: true })
      let connected = false
      open.add(far)
      far.once('connect', () => {
        connected = true
        far.pipe(near)
        near.pipe(far)
      })
      far.on('error', () => far.destroy())
      far.once('close', () => {
        open.delete(far)
        if (connected) near.destroy()
        else tryNext(tried + 1)
      })
      near.once('close', () => far.destroy())
    }
    tryNext(0)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return {
    port: address.port,
    async close() {
      for (const socket of open) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
