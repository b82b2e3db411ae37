import type { Socket } from 'node:net'
import { DatabaseError, PATIENCE, type Patience, type SyncError } from '@clinic-sync/sync'
import sql from './driver.ts'
import type { Logger } from 'pino'
import { parseAddress } from './address.ts'
import { toDatabaseError } from './errors.ts'
import { mustEncrypt } from './must-encrypt.ts'

/** Values of a procedure's parameters, by name without the @. */
export type Inputs = Readonly<Record<string, readonly [type: sql.ISqlType | (() => sql.ISqlType), value: unknown]>>

export interface Pool {
  /**
   * Runs a stored procedure and gives its result sets.
   *
   * @param requestTimeout milliseconds for this call, instead of the pool's.
   * @throws DatabaseError
   */
  execute(
    procedure: string,
    inputs: Inputs,
    requestTimeout?: number,
  ): Promise<readonly sql.IRecordSet<Record<string, unknown>>[]>
  /**
   * Runs a text with parameters and gives what it selected, in order, up to an error if there was one.
   *
   * @throws DatabaseError where there is no connection.
   */
  collect(text: string, inputs: Inputs, doing: string): Promise<Collected>
  /** Runs a batch as it is, without sp_executesql, and gives the rows of its first result set. @throws the driver's error */
  batch(text: string): Promise<readonly Record<string, unknown>[]>
  close(): Promise<void>
}

export interface Collected {
  readonly sets: readonly (readonly Record<string, unknown>[])[]
  /** What the server said first; null: nothing went wrong. */
  readonly error: SyncError | null
}

interface PoolOptions {
  readonly url: string
  readonly log?: Logger
  readonly maxConnections: number
  /** Milliseconds for one request; 0 waits for ever. */
  readonly requestTimeout: number
  readonly patience?: Patience
  /** Gets each new connection of the driver, before it connects. */
  readonly onConnection?: (connection: Closable) => void
  /** Told of each connection that has logged in. */
  readonly onConnected?: () => void
  /** Gets what the server says without it being an error: PRINT, and messages up to severity 10. */
  readonly onMessage?: (message: ServerMessage) => void
}
/** `number` is 0 for PRINT, 50000 for a RAISERROR of a text; others are SQL Server's own. */
export interface ServerMessage {
  readonly number: number
  readonly message: string
}
/** Silence after which the kernel asks the peer, each second; after 10 s more without an answer the connection is lost. */
const KEEPALIVE_MS = 10_000

/**
 * Bytes of a packet; the driver's own 4096 has it take a page of changes apart 250 times. Encrypted ones have 16,383 at most
 * (https://learn.microsoft.com/sql/database-engine/configure-windows/configure-the-network-packet-size-server-configuration-option).
 */
const PACKET_SIZE = 16_000

/** What is used of tedious' Connection. */
export interface Closable {
  readonly socket?: Socket
  readonly state?: { readonly name: string }
  close(): void
  on(event: 'errorMessage', listener: (message: { number: number }) => void): unknown
  on(event: 'connect', listener: (error?: Error) => void): unknown
  on(event: 'end', listener: () => void): unknown
}

/** mssql takes a timeout for one request; its types do not know. */
const Request = sql.Request as unknown as new (pool: sql.ConnectionPool, own: { requestTimeout: number }) => sql.Request

/**
 * A pool that connects at first use and again after a failure. Idle connections are checked by looking at their socket:
 * the driver's default, `SELECT 1` at every use, would double the queries. TCP keepalive finds dead peers within 20 s.
 *
 * A request that takes too long is cancelled; where that is not answered either, the connection is closed, and those that idle
 * beside it too: each of them would take as long to find out.
 */
export function openPool(options: PoolOptions): Pool {
  const {
    url,
    log,
    maxConnections,
    requestTimeout,
    patience = PATIENCE,
    onConnection,
    onConnected,
    onMessage,
  } = options
  const address = parseAddress(url)
  const connections = new Set<Closable>()
  let loginNumber: number | undefined
  let pool: Promise<sql.ConnectionPool> | undefined
  let closed = false

  function connected(): Promise<sql.ConnectionPool> {
    if (closed) return Promise.reject(new sql.ConnectionError('closed', 'ENOTOPEN'))
    pool ??= connect().catch((error: unknown) => {
      pool = undefined
      throw error
    })
    return pool
  }

  async function connect(): Promise<sql.ConnectionPool> {
    const config = {
      ...address,
      connectionTimeout: patience.connectMs,
      requestTimeout,
      validateConnection: 'socket',
      pool: { min: 0, max: maxConnections, idleTimeoutMillis: 60_000 },
      options: {
        ...address.options,
        packetSize: PACKET_SIZE,
        appName: 'clinic-sync',
        cancelTimeout: patience.answerMs - patience.statementMs,
      },
      beforeConnect(connection: Closable) {
        if (address.options?.encrypt !== false) mustEncrypt(connection)
        connection.on('errorMessage', ({ number }) => {
          loginNumber = number
        })
        connection.on('connect', (error) => {
          if (error !== undefined) return
          connections.add(connection)
          onConnected?.()
          // tedious has set 30 s: 40 s until a dead peer is noticed.
          connection.socket?.setKeepAlive(true, KEEPALIVE_MS)
          // tedious writes a request in pieces: the last one would wait for the first one's acknowledgement, up to 40 ms.
          connection.socket?.setNoDelay(true)
        })
        connection.on('end', () => void connections.delete(connection))
        onConnection?.(connection)
      },
    }
    const opening = new sql.ConnectionPool(config as unknown as sql.config)
    // A connection that dies idle is replaced at the next use; without a listener its error would end the process.
    opening.on('error', (error: { code?: unknown }) =>
      log?.debug({ code: error.code }, 'clinic: a connection was lost'),
    )
    return opening.connect()
  }

  /** What `error` means for all connections, and its words. */
  function failed(error: unknown, doing: string): SyncError {
    if (!isSilence(error)) return toDatabaseError(error, doing, loginNumber)
    for (const each of connections) if (each.state?.name === 'LoggedIn') each.close()
    return silent(doing, patience.answerMs, error)
  }

  return {
    async execute(procedure, inputs, timeout = requestTimeout) {
      try {
        const request = new Request(await connected(), { requestTimeout: timeout })
        for (const [name, [type, value]] of Object.entries(inputs)) request.input(name, type, value)
        const result = await request.execute(procedure)
        return result.recordsets as unknown as sql.IRecordSet<Record<string, unknown>>[]
      } catch (error) {
        throw failed(error, procedure)
      }
    },
    async collect(text, inputs, doing) {
      const sets: Record<string, unknown>[][] = []
      let first: unknown = null
      try {
        const request = new sql.Request(await connected())
        for (const [name, [type, value]] of Object.entries(inputs)) request.input(name, type, value)
        // Otherwise an error would hide what came before it.
        request.stream = true
        request.on('recordset', () => sets.push([]))
        request.on('row', (row: Record<string, unknown>) => sets.at(-1)?.push(row))
        request.on('error', (error: unknown) => {
          first ??= error
        })
        await new Promise<void>((resolve) => {
          request.on('done', () => resolve())
          void request.query(text)
        })
      } catch (error) {
        first ??= error
      }
      if (first === null) return { sets, error: null }
      const error = failed(first, doing)
      if (error instanceof DatabaseError && error.failure === 'down') throw error
      return { sets, error }
    },
    async batch(text) {
      const request = new sql.Request(await connected())
      if (onMessage !== undefined) request.on('info', onMessage)
      const result = await request.batch<Record<string, unknown>>(text)
      return result.recordsets[0] ?? []
    },
    async close() {
      closed = true
      const opened = await pool?.catch(() => undefined)
      await opened?.close()
    },
  }
}

/** What tedious says when it has cancelled a request and was not answered; it has closed the connection then. */
const isSilence = (error: unknown) =>
  error instanceof Error && /^Failed to cancel request in \d+ms$/.test(error.message)

/** @param ms how long nothing has come. */
export const silent = (doing: string, ms: number, cause?: unknown) =>
  new DatabaseError('down', `SQL Server has been silent for ${ms / 1000} s in ${doing}: the connection is given up.`, {
    cause,
  })
