import type { Version } from '@clinic-sync/contracts'
import type { OutboxRowStatus } from './operations.ts'

/** What writing the canary came to. */
export interface SentCanary {
  /** What its trigger put into the outbox; null: nothing. */
  readonly queueId: Version | null
  /** Null: this login may not see it. */
  readonly trigger: 'enabled' | 'disabled' | 'missing' | null
}

/** A row of the outbox that carries the canary. */
export interface CanaryRow {
  readonly queueId: Version
  readonly status: OutboxRowStatus
  /** LastError: our own words. */
  readonly reason: string | null
}

/** How far the canary has come on one side. */
export interface CanaryState {
  /** The other side's version of it that was applied here last; 0: none. */
  readonly applied: Version
  /** The other side's changes are held up: a database was restored from a backup, and that is not repaired yet. */
  readonly isHeld: boolean
  /** The row that was asked for; null: it is purged, or never was. */
  readonly row: CanaryRow | null
  /** Its newest row: in the clinic that is the ruling, once the portal's change was applied. Null: there is none, or this side does not say. */
  readonly newest: CanaryRow | null
}

/** A side through which the canary of `npm run sync -- trace` can be sent. Every method rejects with a DatabaseError. */
export interface Traceable {
  /** Writes the canary, as a person's edit is written. @param token anything new, of at most 40 characters */
  sendCanary(token: string): Promise<SentCanary>
  /** @param queueId the outbox row that is of interest; null: none */
  readCanary(queueId: Version | null): Promise<CanaryState>
}
