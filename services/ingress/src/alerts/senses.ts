import { deadQueue, DIRECTIONS, eventQueues, type QueueDepth } from '@clinic-sync/broker'
import { type Direction, directionFrom, sourceOf } from '@clinic-sync/contracts'
import { OutboxAge } from '@clinic-sync/runtime'
import type { Observer } from '@clinic-sync/sync'

/** An answer of RabbitMQ's is believed for so long. */
const FRESH_MS = 60_000

/** What is seen of one direction. Instants in milliseconds since 1970. */
interface Seen {
  /** Events that were published, less those of which an outcome came; more or less: a retry has several. */
  open: number
  /** No outcome has come since this ingress leads. */
  unsure: boolean
  /** When the last outcome came, or, if later, when the first of `open` was published. */
  movedAt: number
  /** Since when events lie in a queue without a consumer. */
  unattendedSince: number | null
  unattended: number
  /** Dead letters that RabbitMQ counts, and what changes when one of them is superseded. */
  dead: number
  standing: number
}

/** What the ingress is told of its own work, and of RabbitMQ's queues. No database is asked. */
export class Senses {
  readonly #ages: OutboxAge
  readonly #now: () => number
  readonly #seen: Readonly<Record<Direction, Seen>>
  /** How often this ingress has gained the lead. */
  terms = 0
  /** When RabbitMQ answered last. */
  #askedAt = Number.NEGATIVE_INFINITY
  #isCompared = false

  constructor(now: () => number = Date.now) {
    this.#now = now
    this.#ages = new OutboxAge(now)
    const seen = (): Seen => ({
      open: 0,
      unsure: true,
      movedAt: now(),
      unattendedSince: null,
      unattended: 0,
      dead: 0,
      standing: 0,
    })
    this.#seen = { 'sql-to-postgres': seen(), 'postgres-to-sql': seen() }
  }

  /** To be told of what happens, besides others. */
  readonly observer: Observer = {
    taken: (side, taken, ahead) => this.#ages.taken(side, taken, ahead),
    published: (events) => {
      for (const { source } of events) this.#published(directionFrom(source))
    },
    settling: (direction, outcomes) => {
      const seen = this.#seen[direction]
      const settled = outcomes.reduce((sum, { outcome }) => sum + (outcome === 'retry' ? 0 : 1), 0)
      seen.open = Math.max(0, seen.open - settled)
      Object.assign(seen, { movedAt: this.#now(), unsure: false })
    },
    restored: () => (this.#isCompared = true),
    standing: (direction, records) => void (this.#seen[direction].standing = records),
    leads: (leads) => {
      if (leads) this.terms++
      this.#ages.forget()
      // What was published before is not known here: it is asked for once, if nothing is heard of it.
      for (const direction of DIRECTIONS)
        Object.assign(this.#seen[direction], {
          open: leads ? 1 : 0,
          unsure: true,
          unattendedSince: null,
          movedAt: this.#now(),
        })
      this.#askedAt = Number.NEGATIVE_INFINITY
    },
  }

  /** RabbitMQ's answer; none: it cannot be asked. */
  asked(depths: readonly QueueDepth[]): void {
    if (depths.length === 0) return
    this.#askedAt = this.#now()
    for (const direction of DIRECTIONS) {
      const seen = this.#seen[direction]
      const left = eventQueues(direction).flatMap((name) =>
        depths.filter(({ queue, consumers }) => queue === name && consumers === 0),
      )
      seen.unattended = left.reduce((sum, { messages }) => sum + messages, 0)
      if (seen.unattended === 0) seen.unattendedSince = null
      else seen.unattendedSince ??= this.#now()
      seen.dead = depths.find(({ queue }) => queue === deadQueue(direction))?.messages ?? seen.dead
    }
  }

  waiting(direction: Direction): { readonly waitingSeconds: number | null; readonly heldSeconds: number } {
    const { waiting, held } = this.#ages.partsOf(sourceOf(direction))
    return { waitingSeconds: waiting, heldSeconds: held }
  }

  unattended(direction: Direction): { readonly messages: number; readonly seconds: number } | null {
    if (this.#now() - this.#askedAt > FRESH_MS) return null
    const { unattended, unattendedSince } = this.#seen[direction]
    return { messages: unattended, seconds: unattendedSince === null ? 0 : (this.#now() - unattendedSince) / 1000 }
  }

  /** Something was sent, and for minutes nothing has been heard of it: reason enough to ask the outbox, once. */
  isDoubtful(direction: Direction, seconds: number): boolean {
    const { open, movedAt } = this.#seen[direction]
    return open > 0 && this.#now() - movedAt >= seconds * 1000
  }

  /** The outbox was asked: nothing waits too long. `open` were sent and have no outcome, the oldest for so many seconds. */
  answered(direction: Direction, open: number, seconds: number): void {
    Object.assign(this.#seen[direction], {
      open,
      unsure: false,
      movedAt: this.#now() - (open > 0 ? seconds * 1000 : 0),
    })
  }

  /** What was sent before this ingress led may be stuck: nothing has come back, and nobody has asked. */
  isUnsure(direction: Direction): boolean {
    return this.#seen[direction].unsure
  }

  /** Whether both sides have been compared here, to notice a restore: before that, nothing is known of it. */
  get isCompared(): boolean {
    return this.#isCompared
  }

  /** Changes whenever the dead letters may have changed; null: RabbitMQ has not said. */
  dead(direction: Direction): { readonly letters: number; readonly mark: string } | null {
    if (this.#now() - this.#askedAt > FRESH_MS) return null
    const { dead, standing } = this.#seen[direction]
    return { letters: dead, mark: `${dead}/${standing}` }
  }

  #published(direction: Direction): void {
    const seen = this.#seen[direction]
    if (seen.open === 0) seen.movedAt = this.#now()
    seen.open++
  }
}

/** Several observers as one. */
export function observers(...all: readonly (Observer | undefined)[]): Observer {
  const names = new Set(all.flatMap((each) => Object.keys(each ?? {}) as (keyof Observer)[]))
  const told = (name: keyof Observer) => {
    const those = all.flatMap((each) => (each?.[name] === undefined ? [] : [each]))
    return (...given: unknown[]) => {
      for (const each of those) (each[name] as ((...given: unknown[]) => void) | undefined)?.(...given)
    }
  }
  return Object.fromEntries([...names].map((name) => [name, told(name)]))
}
