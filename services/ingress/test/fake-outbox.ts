import { PublishError } from '@clinic-sync/broker'
import type { Change, Settlement, Side, SyncEvent } from '@clinic-sync/contracts'
import { DatabaseError, SyncError, type Taken } from '@clinic-sync/sync'
import type { Outbox, Publisher } from '../src/empty-outbox.ts'

interface OutboxRow {
  readonly id: number
  readonly key: number
  status: 'Pending' | 'Queued' | 'Synced' | 'Failed'
}

/** An outbox and a broker in memory, with faults on demand. Every call passes `pause`, before and after its effect. */
export class Fake implements Outbox, Publisher {
  readonly side: Side
  readonly rows: OutboxRow[] = []
  readonly published: SyncEvent[] = []
  /** Keys held by an open transaction. */
  readonly held = new Set<number>()
  /** Keys whose events the broker refuses for good. */
  readonly tooLarge = new Set<number>()
  readonly calls: string[] = []
  down: Error | null = null
  brokerDown = false
  unmigrated = false
  /** Called at each await point, with its name. */
  pause: (point: string) => Promise<void> | void = () => undefined
  #ids = 0

  constructor(side: Side = 'clinic') {
    this.side = side
  }

  /** A committed change of record `key`. */
  change(key: number): void {
    this.rows.push({ id: ++this.#ids, key, status: 'Pending' })
  }

  pending(): number {
    return this.rows.filter((row) => row.status === 'Pending').length
  }

  check = () =>
    this.#call('check', () => {
      if (this.unmigrated) throw new DatabaseError('down', 'Schema sync is missing.', { code: 'SYNC_NOT_MIGRATED' })
    })

  takeChanges = (max: number) =>
    this.#call('take', (): Taken => {
      const window = this.rows.filter((row) => row.status === 'Pending').slice(0, max)
      const free = window.filter((row) => !this.held.has(row.key))
      const versions = new Map(free.map((row) => [row.key, row.id]))
      const changes = [...versions].map(([key, version]) => change(key, version))
      const locked = new Set(window.map((row) => row.key).filter((key) => this.held.has(key))).size
      return { changes, rows: free.length, locked }
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
      if (this.brokerDown) failures.set(i, new SyncError('SYNC_BROKER_DOWN', 'not connected'))
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

const change = (key: number, version: number): Change => ({
  table: 'aligner_notes',
  key,
  version: String(version),
  seen: '0',
  since: null,
  base: null,
  row: { note_id: key, note_text: 'PLANTED' },
  capturedAt: new Date().toISOString(),
})

export const databaseDown = () => new DatabaseError('down', 'It cannot be reached.')
