import type { Server } from 'node:http'

export interface ConnectionLimits {
  /** Connections at a time. Each that says nothing costs some 15 kB, and a file. */
  readonly all: number
  /** Those of one address: half, so that whoever holds what he may still leaves room for SQL Server's and the tunnel's. */
  readonly each: number
}

export const CONNECTIONS: ConnectionLimits = { all: 1_000, each: 500 }

/** Refuses connections beyond these. What is held without being used is closed by the server's timeouts. */
export function limitConnections(server: Server, { all, each }: ConnectionLimits = CONNECTIONS): void {
  server.maxConnections = all
  const open = new Map<string, number>()
  server.on('connection', (socket) => {
    const from = socket.remoteAddress ?? ''
    const count = (open.get(from) ?? 0) + 1
    open.set(from, count)
    socket.once('close', () => {
      const left = (open.get(from) ?? 1) - 1
      if (left === 0) open.delete(from)
      else open.set(from, left)
    })
    if (count > each) socket.destroy()
  })
}
