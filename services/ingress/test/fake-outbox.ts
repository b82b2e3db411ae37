import { PublishError } from '@clinic-sync/broker'
import type { Change, Settlement, Side, SyncEvent } from '@clinic-sync/contracts'
import {
  DatabaseError,
  type OpenTransaction,
  type OpenTransactions,
  type Ringer,
  type Rung,
  SyncError,
  type Taken,
} from '@clinic-sync/sync'
import type { Outbox, Publisher } from '../src/empty-outbox.ts'

interface OutboxRow {
  readonly id: number
  readonly key: number
  status: 'Pending' | 'Queued' | 'Synced' | 'Failed'
  /** The session whose transaction has not committed it yet. */
  session: number | null
}

/** An outbox and a broker in memory, with faults on demand. Every call passes `pause`, before and after its effect. */
export class Fake implements Outbox, Publisher, OpenTransactions, Ringer {
  readonly side: Side
  readonly rows: OutboxRow[] = []
  readonly published: SyncEvent[] = []
  /** Keys held by an open transaction. */
  readonly held = new Set<number>()
  /** Keys whose events the broker refuses for good. */
  readonly tooLarge = new Set<number>()
  /** Keys whose events it does not confirm. */
  readonly unsure = new Set<number>()
  /** What each record says. */
  text = 'PLANTED'
  readonly calls: string[] = []
  down: Error | null = null
  brokerDown = false
  /** Whether a take says where it ended: older databases do not. */
  saysLast = false
  /** As the portal: an event has the version of its record's latest change, wherever its page ended. */
  latestVersions = false
  unmigrated = false
  /** Why waits for open transactions fail. */
  noWaits: Error | null = null
  /** Waits that are in the database now, by session; and how many there were at most, and in all. */
  readonly waits = new Map<number, number>()
  waited = { most: 0, all: 0 }
  /** What a ring that is asked for does. */
  rung: () => Promise<Rung> = async () => ({ rang: true, answer: null })
  readonly #ends = new Set<() => void>()
  /** Called at each await point, with its name. */
  pause: (point: string) => Promise<void> | void = () => undefined
  #ids = 0

  constructor(side: Side = 'clinic') {
    this.side = side
  }

  /** A committed change of record `key`. */
  change(key: number): void {
    this.rows.push({ id: ++this.#ids, key, status: 'Pending', session: null })
  }

  /** A change that `session` has not committed yet. */
  open(session: number, key: number): void {
    this.rows.push({ id: ++this.#ids, key, status: 'Pending', session })
  }

  commit(session: number): void {
    for (const row of this.rows) if (row.session === session) row.session = null
    for (const end of this.#ends) end()
  }

  rollback(session: number): void {
    this.rows.splice(0, Infinity, ...this.rows.filter((row) => row.session !== session))
    for (const end of this.#ends) end()
  }

  /** Committed and not taken. */
  pending(): number {
    return this.rows.filter((row) => row.status === 'Pending' && row.session === null).length
  }

  openTransactions = () =>
    this.#call('look', () => {
      const first = new Map<number, OpenTransaction>()
      for (const { id, session } of this.rows)
        if (session !== null && !first.has(session)) first.set(session, { session, queueId: String(id) })
      return [...first.values()]
    })

  async awaitTransaction({ session, queueId }: OpenTransaction, signal: AbortSignal): Promise<void> {
    this.calls.push('wait')
    this.waits.set(session, (this.waits.get(session) ?? 0) + 1)
    this.waited = { most: Math.max(this.waited.most, this.waits.get(session) ?? 0), all: this.waited.all + 1 }
    try {
      await this.pause('before wait')
      const isOpen = () => this.rows.some((row) => String(row.id) === queueId && row.session !== null)
      await new Promise<void>((resolve, reject) => {
        const end = () => {
          if (signal.aborted) reject(signal.reason as Error)
          else if (this.noWaits) reject(this.noWaits)
          else if (!isOpen()) resolve()
          else return
          this.#ends.delete(end)
          signal.removeEventListener('abort', end)
        }
        this.#ends.add(end)
        signal.addEventListener('abort', end)
        end()
      })
      await this.pause('after wait')
    } finally {
      this.waits.set(session, (this.waits.get(session) ?? 0) - 1)
    }
  }

  /** Cuts the connections that wait. */
  cutWaits(): void {
    const before = this.noWaits
    this.noWaits = databaseDown()
    for (const end of this.#ends) end()
    this.noWaits = before
  }

  ringDoorbell = () => this.rung()

  check = () =>
    this.#call('check', () => {
      if (this.unmigrated) throw new DatabaseError('down', 'Schema sync is missing.', { code: 'SYNC_NOT_MIGRATED' })
    })

  takeChanges = (max: number, after: string | null = null) =>
    this.#call(after === null ? 'take' : 'ahead', (): Taken => {
      const from = Number(after ?? 0)
      const pending = this.rows.filter((row) => row.status === 'Pending' && row.session === null)
      const window = pending.filter((row) => row.id > from).slice(0, max)
      const free = window.filter((row) => !this.held.has(row.key))
      const versions = new Map(free.map((row) => [row.key, row.id]))
      if (this.latestVersions) for (const { key, id } of this.rows) if (versions.has(key)) versions.set(key, id)
      const last = window.at(-1)?.id ?? null
      const changes = [...versions].map(([key, version]) => change(key, version, this.text))
      const locked = new Set(window.map((row) => row.key).filter((key) => this.held.has(key))).size
      const taken = { changes, rows: free.length, locked }
      return this.saysLast ? { ...taken, last: last === null ? null : String(last) } : taken
    })

  settleChanges = (settlements: readonly Settlement[]) =>
    this.#call('settle', () => {
      for (const { key, version, outcome } of settlements)
        for (const row of this.rows)
          if (row.key === key && row.id <= Number(version) && row.status !== 'Synced')
            row.status = outcome === 'queued' ? 'Queued' : outcome === 'dead' ? 'Failed' : 'Synced'
    })

  async publishEvents(events: readonly SyncEvent[]): Promise<void> {
    this.calls.push('publish')
    await this.pause('before publish')
    const failures = new Map<number, SyncError>()
    events.forEach((event, i) => {
      if (this.brokerDown || this.unsure.has(event.data.key))
        failures.set(i, new SyncError('SYNC_BROKER_DOWN', 'not connected'))
      else if (this.tooLarge.has(event.data.key)) failures.set(i, new SyncError('SYNC_BAD_MESSAGE', 'too large'))
      else this.published.push(event)
    })
    await this.pause('after publish')
    if (failures.size > 0) throw new PublishError(failures, events.length)
  }

  async #call<T>(name: string, effect: () => T): Promise<T> {
    this.calls.push(name)
    await this.pause(`before ${name}`)
    if (this.down) throw this.down
    const result = effect()
    await this.pause(`after ${name}`)
    return result
  }
}

const change = (key: number, version: number, text: string): Change => ({
  table: 'aligner_notes',
  key,
  version: String(version),
  seen: '0',
  since: null,
  base: null,
  row: { note_id: key, note_text: text },
  capturedAt: new Date().toISOString(),
})

export const databaseDown = () => new DatabaseError('down', 'It cannot be reached.')
