import type { AlertCondition, DeadCause, Direction, Side, Verification } from '@clinic-sync/contracts'

/** What an ingress knows of one direction without asking a database. */
export interface DirectionFacts {
  /** For how long the oldest change that is known waits to be published, or the outbox cannot be read. Seconds; null: nobody has looked. */
  readonly waitingSeconds: number | null
  /** For how long somebody's open transaction has held changes back. Seconds; 0: none does. */
  readonly heldSeconds: number
  /** Events that lie in queues without a consumer, and for how long that has been so; null: RabbitMQ cannot be asked. */
  readonly unattended: { readonly messages: number; readonly seconds: number } | null
  /** Changes that were sent and have no outcome, by the outbox itself, which was asked since none had come; null: no such finding. */
  readonly unsettled: { readonly rows: number; readonly oldestSeconds: number } | null
  /** Nothing has come back yet since this ingress leads, and the outbox has not been asked: what was sent before may be stuck. */
  readonly unsure: boolean
  /** Dead letters that nothing has superseded, by cause; null: not known. */
  readonly dead: readonly Pick<DeadCause, 'cause' | 'letters'>[] | null
}

/** What the ingress knows when it judges. Reasons are sentences of ours; null: all is well. */
export interface AlertFacts {
  /** Whether it leads: another one's state says nothing of the whole. */
  readonly leads: boolean
  /** `seconds`: for how long it is known to have been so. */
  readonly rabbitmq: { readonly reason: string; readonly seconds: number } | null
  readonly databases: Readonly<Record<Side, string | null>>
  /** Undefined: nobody has compared yet. */
  readonly restored: string | null | undefined
  /** Of doorbells that ring on a connection; one that calls by HTTP is missed by nobody. */
  readonly doorbells: Readonly<Record<Side, string | null>>
  readonly directions: Readonly<Record<Direction, DirectionFacts>>
  /** The last one that was kept; null: none is known. */
  readonly verification: Pick<Verification, 'through' | 'rows' | 'differences' | 'tables'> | null
}

/** What an alert is about: one of each at a time. */
export interface Subject {
  readonly condition: Exclude<AlertCondition, 'test'>
  readonly side: Side | null
  readonly direction: Direction | null
}

/** A condition that holds. */
export interface Finding extends Subject {
  /** Sentences, each with what to do. */
  readonly problems: readonly string[]
  /** Told once more when there is one that was not told before. */
  readonly aspects?: readonly string[]
  /** For how long the facts say that it has held already. */
  readonly seconds?: number
}

/** A subject as a text. */
export const keyOf = ({ condition, side, direction }: Subject): string =>
  [condition, direction ?? (condition === side ? null : side)].filter((part) => part !== null).join('/')
