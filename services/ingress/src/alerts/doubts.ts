import { browseDeadLetters, DIRECTIONS } from '@clinic-sync/broker'
import { type DeadCause, type Direction, type Side, sourceOf } from '@clinic-sync/contracts'
import { deadCauses, type DirectionFacts } from '@clinic-sync/operations'
import { Backoff, type Delays, type Operable, SyncError } from '@clinic-sync/sync'
import type { FastifyBaseLogger } from 'fastify'
import { describe } from '../describe.ts'
import type { Senses } from './senses.ts'

/** While a doubt lasts, as the retries of any failure. */
const REPEAT: Delays = { min: 20_000, max: 120_000 }
/** For whoever is at work on the dead letters. */
const LOCK_MS = 3_000
/** A look at the dead letters may take a tenth of the time. */
const REST_FACTOR = 9
/** Who may not look at the dead letters, again and again, tells of their number alone: better than nothing. */
const FAILURES = 3
const NOT_LOOKED_AT = 'not looked at'

export interface DoubtsOptions {
  readonly senses: Senses
  readonly rabbitmqUrl: string
  readonly log: FastifyBaseLogger
  /** Uses a side's database, so that the ingress knows then whether it can be reached. May reject. */
  readonly probe: (side: Side) => Promise<void>
  readonly outboxes: Readonly<Record<Side, Pick<Operable, 'outboxStatus'>>>
  readonly now?: () => number
  readonly repeat?: Delays
  /** From when on a change without an outcome is one. */
  readonly unsettledSeconds: number
}

/**
 * Questions that the facts at hand raise and do not answer. Each is asked once, and again with growing pauses for as long as they
 * raise it: never otherwise. At most one query each.
 */
export class Doubts {
  readonly #options: DoubtsOptions
  readonly #now: () => number
  readonly #asking = new Map<string, { backoff: Backoff; notBefore: number; busy: boolean }>()
  readonly #unsettled = new Map<Direction, DirectionFacts['unsettled']>()
  /** Found late by the last look. */
  readonly #late = new Set<Direction>()
  readonly #dead = new Map<Direction, readonly Pick<DeadCause, 'cause' | 'letters'>[]>()
  #looked = ''
  #lookNotBefore = 0
  #looking = false
  readonly #lookBackoff: Backoff
  /** Looks in a row that have failed, though nobody else had them in hand. */
  #failures = 0

  constructor(options: DoubtsOptions) {
    this.#options = options
    this.#now = options.now ?? Date.now
    this.#lookBackoff = new Backoff(options.repeat ?? REPEAT)
  }

  /** Whether the database is there: something that needs it says that it is not, and nothing else would ask. */
  database(side: Side, isDoubtful: boolean): void {
    this.#ask(`database ${side}`, isDoubtful, () => this.#options.probe(side))
  }

  /** Whether what was sent has got no outcome. */
  outcomes(direction: Direction): void {
    const { senses, outboxes, unsettledSeconds } = this.#options
    const isDoubtful = senses.isDoubtful(direction, unsettledSeconds)
    // An outcome that has come since is a reason to ask again as well.
    this.#ask(`outcomes ${direction}`, isDoubtful || this.#late.has(direction), async () => {
      const { rows, retrying, oldestQueued, now } = await outboxes[sourceOf(direction)].outboxStatus()
      const seconds = oldestQueued === null ? 0 : Math.floor((Date.parse(now) - Date.parse(oldestQueued)) / 1000)
      const open = rows.Queued - retrying
      const found = open > 0 && seconds >= unsettledSeconds ? { rows: open, oldestSeconds: seconds } : null
      // Twice in a row: the oldest may wait to be tried again, and another have been sent just now.
      this.#unsettled.set(direction, this.#late.has(direction) ? found : null)
      if (found !== null) return void this.#late.add(direction)
      this.#late.delete(direction)
      senses.answered(direction, open, seconds)
    })
  }

  unsettled(direction: Direction): DirectionFacts['unsettled'] {
    return this.#unsettled.get(direction) ?? null
  }

  /** Looks at the dead letters, where their number or their marks have changed. RabbitMQ alone is asked. */
  deadLetters(): void {
    const { senses, rabbitmqUrl: url } = this.#options
    const marks = DIRECTIONS.map((direction) => senses.dead(direction))
    const mark = marks.map((each) => each?.mark ?? '?').join(' ')
    if (this.#looking || marks.includes(null) || mark === this.#looked || this.#now() < this.#lookNotBefore) return
    const isEmpty = marks.every((each) => each?.letters === 0)
    // None, and none before: nobody has them in hand either.
    if (isEmpty && this.#looked === '') return this.#saw(mark, [])
    this.#looking = true
    const began = this.#now()
    browseDeadLetters({ url, waitMs: LOCK_MS, name: 'alerts' })
      .then(
        (letters) => {
          this.#saw(mark, deadCauses(letters))
          return 0
        },
        (error: unknown) => this.#lookFailed(error),
      )
      .then((pause) => {
        this.#lookNotBefore = this.#now() + Math.max(pause, REST_FACTOR * (this.#now() - began))
        this.#looking = false
      })
  }

  dead(direction: Direction): DirectionFacts['dead'] {
    const letters = this.#options.senses.dead(direction)?.letters ?? 0
    if (this.#failures >= FAILURES && letters > 0) return [{ cause: NOT_LOOKED_AT, letters }]
    return this.#dead.get(direction) ?? null
  }

  /** Another ingress leads: what was found here is out of date. */
  forget(): void {
    this.#asking.clear()
    this.#unsettled.clear()
    this.#late.clear()
    this.#dead.clear()
    this.#looked = ''
    this.#failures = 0
  }

  /** @returns milliseconds before the next look */
  #lookFailed(error: unknown): number {
    // Somebody is at work on them: what was seen last stands.
    if (!(error instanceof SyncError && error.code === 'SYNC_DEAD_LETTERS_BUSY') && ++this.#failures === FAILURES)
      this.#options.log.warn(describe(error), 'alerts cannot look at the dead letters, and tell of their number only')
    return this.#lookBackoff.next()
  }

  #saw(mark: string, causes: readonly DeadCause[]): void {
    this.#looked = mark
    this.#failures = 0
    this.#lookBackoff.reset()
    for (const direction of DIRECTIONS) {
      const own = causes.filter((each) => each.direction === direction && each.letters > each.superseded)
      const standing = own.map(({ cause, letters, superseded }) => ({ cause, letters: letters - superseded }))
      this.#dead.set(direction, standing)
    }
  }

  #ask(what: string, isDoubtful: boolean, ask: () => Promise<void>): void {
    if (!isDoubtful) return void this.#asking.delete(what)
    const asking = this.#asking.get(what) ?? {
      backoff: new Backoff(this.#options.repeat ?? REPEAT),
      notBefore: 0,
      busy: false,
    }
    this.#asking.set(what, asking)
    if (asking.busy || this.#now() < asking.notBefore) return
    asking.busy = true
    void ask()
      .catch(() => undefined)
      .finally(() => {
        asking.busy = false
        asking.notBefore = this.#now() + asking.backoff.next()
      })
  }
}
