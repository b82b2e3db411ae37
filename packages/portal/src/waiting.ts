import { randomBytes } from 'node:crypto'
import { Socket } from 'node:net'
import { DatabaseError, type Patience, type Ring, watchSilence } from '@clinic-sync/sync'
import pg from 'pg'
import { toDatabaseError } from './failure.ts'
import { connectionSettings, type Database } from './pool.ts'

/** What `sync.ring_listeners` notifies (migrations/postgres/05_portal_doorbells.sql). */
const CHANNEL = 'sync_queue'
/** A notification takes one way through the network; this is long for it. Milliseconds. */
const PROOF_MS = 3000
/** A goodbye that cannot be sent is not waited for any longer. Milliseconds. */
const GOODBYE_MS = 1000

const LISTENING = `SELECT pg_backend_pid() AS pid, EXISTS (
  SELECT FROM pg_trigger WHERE tgrelid = to_regclass('sync.queue') AND tgname = 'ring_listeners' AND tgenabled IN ('O', 'A')
) AS rings`

export interface Waiting {
  wait(signal: AbortSignal): Promise<Ring>
  close(): Promise<void>
}

/**
 * Waits for the portal's doorbell on one connection of its own, which stays open between calls and asks nothing while
 * nothing happens. That the server is still there, it says every `beatMs`: see {@link Line.listen}.
 *
 * @param database another connection, for the proof that notifications come through where a pooler is in between.
 */
export function openWaiting(url: string, database: Database, patience: Patience): Waiting {
  let line: Line | undefined
  let closed = false

  async function hangUp(): Promise<void> {
    const ended = line
    line = undefined
    await ended?.cut()
  }

  async function next(signal: AbortSignal): Promise<Ring> {
    if (line?.connected()) {
      await line.rung()
      return 'changed'
    }
    await hangUp()
    signal.throwIfAborted()
    if (closed) throw toDatabaseError(new Error('Connection terminated: it was closed'))
    line = openLine(url, patience)
    await line.listen(database)
    return 'connected'
  }

  return {
    async wait(signal) {
      signal.throwIfAborted()
      let abort = () => {}
      const aborted = new Promise<never>((_, reject) => {
        abort = () => reject(signal.reason)
      })
      signal.addEventListener('abort', abort, { once: true })
      try {
        return await Promise.race([next(signal), aborted])
      } catch (error) {
        await hangUp()
        signal.throwIfAborted()
        throw error
      } finally {
        signal.removeEventListener('abort', abort)
      }
    },
    close() {
      closed = true
      return hangUp()
    },
  }
}

interface Line {
  connected(): boolean
  /**
   * Connects and listens. What is rung from then on is kept until somebody asks. From then on a lone Sync, the protocol's
   * barrier, is sent every `beatMs`: no query (no transaction, no statement; pg_stat_* count none), yet it is answered with
   * ReadyForQuery, by way of a pooler in session mode from the server itself. A line without an answer is lost.
   */
  listen(database: Database): Promise<void>
  /** Resolves when it has rung since the last time, however often; rejects when the connection is lost. */
  rung(): Promise<void>
  cut(): Promise<void>
}

function openLine(url: string, patience: Patience): Line {
  // A socket of our own can be closed while it connects, which pg's end() waits for.
  const socket = new Socket()
  const client = new pg.Client({
    ...connectionSettings(url, patience),
    application_name: 'clinic-sync doorbell',
    stream: () => socket,
  })
  let [connected, rang] = [false, false]
  let lost: DatabaseError | undefined
  let tell = () => {}
  let unwatch = () => {}

  function lose(error: unknown): void {
    connected = false
    unwatch()
    lost ??= toDatabaseError(error)
    tell()
  }
  client.on('error', lose)
  client.on('end', () => lose(new Error('Connection terminated')))
  client.on('notification', ({ channel }) => {
    if (channel !== CHANNEL) return
    rang = true
    tell()
  })

  return {
    connected: () => connected,
    async listen(database) {
      try {
        await client.connect()
        connected = true
        await client.query(`LISTEN ${CHANNEL}`)
        const { rows } = await client.query<{ pid: string; rings: string }>(LISTENING)
        if (rows[0]?.rings !== 't') throw noDoorbell()
        // Through a pooler, a backend's number is not the one that was told at the login.
        const { processID } = client as pg.Client & { processID: number | null }
        if (Number(rows[0].pid) !== processID && !(await isHeard(client, database))) throw notHeard()
      } catch (error) {
        throw lost ?? toDatabaseError(error)
      }
      unwatch = watchSilence({
        beatMs: patience.beatMs,
        bytes: () => socket.bytesRead,
        beat: () => client.connection.sync(),
        onSilence() {
          lose(new Error('no answer'))
          socket.destroy()
        },
      })
      if (!connected) unwatch()
    },
    async rung() {
      if (!rang && lost === undefined) await new Promise<void>((resolve) => (tell = resolve))
      if (!rang && lost !== undefined) throw lost
      rang = false
    },
    async cut() {
      unwatch()
      if (socket.destroyed) return
      const gone = new Promise<void>((resolve) => socket.once('close', () => resolve()))
      if (connected) client.end().catch(() => undefined)
      else socket.destroy()
      const timer = setTimeout(() => socket.destroy(), GOODBYE_MS)
      await gone
      clearTimeout(timer)
    },
  }
}

/** Whether what another connection notifies arrives here. In a pooler's transaction mode LISTEN succeeds, and nothing does. */
async function isHeard(client: pg.Client, database: Database): Promise<boolean> {
  const channel = `sync_proof_${randomBytes(8).toString('hex')}`
  await client.query(`LISTEN ${channel}`)
  let timer: NodeJS.Timeout | undefined
  const heard = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), PROOF_MS)
    client.on('notification', (notification) => notification.channel === channel && resolve(true))
    client.once('end', () => resolve(false))
  })
  try {
    await database.query('SELECT pg_notify($1, $2)', [channel, ''])
    return await heard
  } finally {
    clearTimeout(timer)
    await client.query(`UNLISTEN ${channel}`)
  }
}

const noDoorbell = () =>
  new DatabaseError('down', 'sync.queue of the portal has no doorbell (05_portal_doorbells.sql makes it)', {
    code: 'SYNC_NOT_MIGRATED',
  })

const notHeard = () =>
  new DatabaseError(
    'down',
    'LISTEN is not heard with POSTGRES_URL: a pooler in transaction mode is in between. Take a direct or session-mode ' +
      'connection (port 5432), or PORTAL_DOORBELL=webhook',
    { code: 'SYNC_CONFIG' },
  )
