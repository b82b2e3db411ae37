import type { Direction, Outcome, OutcomeKind, Side, SyncEvent } from '@clinic-sync/contracts'
import type { Taken } from './database.ts'
import type { FailureClass } from './errors.ts'

/** How a side's doorbell was heard; `operator`: asked for by hand. */
export type RingTransport = 'service-broker' | 'listen' | 'http' | 'webhook' | 'operator'

/** An event, or a message that is none, and what became of it. */
export interface AppliedEvent {
  /** As the message says: may be a name that nobody knows. */
  readonly table: string
  /** When it was captured, by its source's clock; null: nobody knows. */
  readonly capturedAt: string | null
  readonly outcome: OutcomeKind
}

/**
 * What the services tell of their work, for metrics: every call costs microseconds and throws nothing. Told are names, numbers
 * and our own codes; a value never.
 */
export interface Observer {
  /** RabbitMQ has confirmed these. */
  published?(events: readonly SyncEvent[]): void
  /** A batch was applied and its outcomes are stored. `seconds`: the database's time for it, bisecting included. */
  applied?(batch: {
    readonly direction: Direction
    readonly seconds: number
    readonly events: readonly AppliedEvent[]
  }): void
  /** A message's copy is stored in a retry queue; `type` is that of its failure. */
  retried?(direction: Direction, type: string): void
  /** An annotated copy is stored in the dead-letter queue. */
  died?(direction: Direction, code: string): void
  /** Dead letters that nothing has superseded, by records; known once they have been looked at. */
  standing?(direction: Direction, records: number): void
  /** A connection to RabbitMQ was made, and it was not the first. */
  reconnected?(connection: 'publishing' | 'consuming'): void
  /** What a consumer does now: its `ConsumerState`. */
  consumer?(direction: Direction, messages: 'events' | 'outcomes', state: string): void
  /** A database refused or failed. */
  databaseFailed?(side: Side, failure: FailureClass): void
  /** A look into an outbox, and what it found; null: it failed. `ahead`: behind a page that is not published yet. */
  taken?(side: Side, taken: Taken | null, ahead?: boolean): void
  /** A run of a drain has ended, well or not. */
  drained?(side: Side, seconds: number): void
  /** A doorbell was heard. */
  rang?(side: Side, transport: RingTransport): void
  /** Whether this ingress is the one that drains. */
  leads?(leads: boolean): void
  /** Outcomes have come back from a consumer, and are about to be settled. */
  settling?(direction: Direction, outcomes: readonly Outcome[]): void
  /** What became of an attempt to send an alert, or of an alert that waited. */
  alerted?(what: 'sent' | 'failed' | 'refused' | 'replaced' | 'given-up'): void
  /** Both sides were compared: these were restored from a backup, and are not repaired. */
  restored?(sides: readonly Side[]): void
}
