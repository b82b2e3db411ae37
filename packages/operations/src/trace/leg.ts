import { type Direction, type Outcome, type Side, sourceOf, type Version } from '@clinic-sync/contracts'
import { CANARY, CANARY_KEY } from '@clinic-sync/mapping'
import { type CanaryRow, type CanaryState, explainFailure } from '@clinic-sync/sync'
import { ingressFault, unapplied, unsettled } from './diagnose.ts'
import type { Sightings } from './sightings.ts'
import type { HopName, TracePorts } from './types.ts'
import { type Diagnosis, drainFails, ofError, otherSide, refused, sentence, unheard } from './words.ts'

/** Between two looks at a database, where nothing else tells: milliseconds. An operator waits for it. */
const LOOK_MS = 10
/** While RabbitMQ tells sooner. */
const SELDOM_MS = 150

export interface LegContext {
  readonly ports: TracePorts
  readonly sightings: Sightings
  /** Why RabbitMQ cannot be listened to; null: it is. */
  readonly deaf: Diagnosis | null
  /** Sides whose doorbell was found dead on this trace: they are rung by hand at once. */
  readonly silent: Set<Side>
  /** How long a hop may take. Milliseconds. */
  readonly patienceMs: number
  /** Told of each hop that came, with `performance.now()` of it. */
  readonly onHop: (hop: HopName, at: number) => void
  readonly onFault: (hop: HopName, fault: Diagnosis) => void
}

/** Where the canary's change is followed to: whether it came through. */
export type LegEnd = 'through' | 'stuck'

/** Follows one change of the canary from its outbox row until that is Synced. */
export class Journey {
  readonly #context: LegContext
  readonly #direction: Direction
  readonly #source: Side
  readonly #queueId: Version
  /** Why the source could not be asked the last time. */
  #error: unknown = null

  constructor(context: LegContext, direction: Direction, queueId: Version) {
    this.#context = context
    this.#direction = direction
    this.#source = sourceOf(direction)
    this.#queueId = queueId
  }

  async run(): Promise<LegEnd> {
    return (await this.#published()) && (await this.#applied()) && (await this.#settled()) ? 'through' : 'stuck'
  }

  async #published(): Promise<boolean> {
    const { ports, patienceMs, deaf, silent, onHop, onFault } = this.#context
    // Where RabbitMQ cannot be reached from here either, the ingress hardly reaches it.
    if (silent.has(this.#source)) await ports.ring(this.#direction).catch(() => undefined)
    let at = await this.#until(() => this.#hasGone(), deaf === null ? patienceMs : Math.min(patienceMs, 3_000))
    if (at !== undefined) return this.#came('published', at)
    if (this.#error !== null) return this.#stuck('published', ofError(this.#error, this.#source))
    if (deaf !== null) return this.#stuck('published', deaf)
    const known = await ingressFault(ports, this.#source)
    if (known !== null && known.kind !== 'ingress-lacks') return this.#stuck('published', known)
    try {
      await ports.ring(this.#direction)
    } catch (error) {
      if (known !== null) return this.#stuck('published', known)
      return this.#stuck('published', drainFails(error, this.#source))
    }
    at = await this.#until(() => this.#hasGone(), Math.min(patienceMs, 5_000))
    if (at === undefined) return this.#stuck('published', known ?? this.#notTaken())
    const test = await ports.testDoorbell(this.#source).catch(() => null)
    silent.add(this.#source)
    onFault('published', unheard(this.#source, test))
    onHop('published', at)
    return true
  }

  #notTaken(): Diagnosis {
    return {
      kind: 'not-taken',
      what: `The ingress was rung by hand and drained the ${this.#source}'s outbox, and left the canary there.`,
      todo: "It is of a version that knows no canary, or somebody's open transaction holds the canary's row: end that, or update the ingress; then trace again.",
    }
  }

  async #applied(): Promise<boolean> {
    const { patienceMs } = this.#context
    let outcome: Outcome | undefined
    const at = await this.#until(async () => {
      const seen = this.#context.sightings.outcome(this.#direction, this.#queueId)
      outcome = seen?.outcome
      if (seen !== undefined && outcome?.outcome !== 'retry') return seen.at
      const row = await this.#row()
      if (row?.status === 'Failed') return performance.now()
      return (await this.#isApplied()) ? performance.now() : undefined
    }, patienceMs)
    if (outcome?.outcome === 'dead') {
      const fault = refused(outcome, this.#direction)
      return this.#stuck('applied', await this.#cleared(fault, outcome.version))
    }
    if (outcome?.outcome === 'retry')
      return at === undefined ? this.#stuck('applied', refused(outcome, this.#direction)) : this.#came('applied', at)
    if (at === undefined) return this.#stuck('applied', await unapplied(this.#context.ports, this.#direction))
    const row = await this.#row()
    return row?.status === 'Failed' ? this.#failed(row) : this.#came('applied', at)
  }

  async #settled(): Promise<boolean> {
    const { ports, patienceMs } = this.#context
    let row: CanaryRow | null | undefined
    const at = await this.#until(async () => {
      row = await this.#row()
      // Purged: it was settled before that.
      return row === null || row?.status === 'Synced' || row?.status === 'Failed' ? performance.now() : undefined
    }, patienceMs)
    if (row?.status === 'Failed') return this.#failed(row)
    if (at !== undefined) return this.#came('settled', at)
    if (this.#error !== null) return this.#stuck('settled', ofError(this.#error, this.#source))
    return this.#stuck('settled', await unsettled(ports, this.#direction))
  }

  async #failed({ reason }: CanaryRow): Promise<false> {
    const code = reason?.split(':', 1)[0] ?? ''
    const { advice } = explainFailure(code, otherSide(this.#source))
    const what = sentence(`The ${this.#source}'s outbox says that it has failed: ${reason ?? 'without a reason'}`)
    const isRestored = code === 'SYNC_RESTORED'
    // Of a restore it is a witness: after-restore sends it anew.
    if (isRestored) return this.#stuck('settled', { kind: 'restored', what, todo: advice })
    return this.#stuck('settled', await this.#cleared({ kind: 'failed', what, todo: advice }, this.#queueId))
  }

  /** Takes away what a change that is dead leaves behind: its letter, and its Failed row. */
  async #cleared(fault: Diagnosis, version: Version): Promise<Diagnosis> {
    const { ports } = this.#context
    try {
      await ports.removeDeadLetters(this.#direction)
      const settled = { table: CANARY, key: CANARY_KEY, version, outcome: 'unchanged' } as const
      await ports[this.#source].settleChanges([settled])
      return fault
    } catch {
      return {
        ...fault,
        what: `${fault.what} Its dead letter could not be removed: \`npm run sync -- dead-letters list\` shows it.`,
      }
    }
  }

  /** Whether it has left the outbox: when RabbitMQ has told, or the outbox says so. */
  async #hasGone(): Promise<number | undefined> {
    const seen = this.#context.sightings.published(this.#direction, this.#queueId)
    if (seen !== undefined) return seen
    const row = await this.#row()
    // The event may have been seen while the row was being read, and tells better.
    return row === undefined || row?.status === 'Pending'
      ? undefined
      : (this.#context.sightings.published(this.#direction, this.#queueId) ?? performance.now())
  }

  async #isApplied(): Promise<boolean> {
    try {
      const { applied } = await this.#context.ports[otherSide(this.#source)].readCanary(null)
      return BigInt(applied) >= BigInt(this.#queueId)
    } catch {
      // Whether that is why it does not come, is asked when it has not.
      return false
    }
  }

  /** Undefined: the source could not be asked. Null: it is purged. */
  async #row(): Promise<CanaryState['row'] | undefined> {
    try {
      const { row } = await this.#context.ports[this.#source].readCanary(this.#queueId)
      this.#error = null
      return row
    } catch (error) {
      this.#error = error
      return undefined
    }
  }

  /** Looks again and again. @returns when it held; undefined: not in time */
  async #until(look: () => Promise<number | undefined>, ms: number): Promise<number | undefined> {
    const deadline = performance.now() + ms
    for (;;) {
      const found = await look()
      if (found !== undefined) return found
      if (performance.now() >= deadline) return undefined
      await this.#context.sightings.next(this.#pause())
    }
  }

  /** Only the source's outbox tells of the last hop. */
  #pause(): number {
    const { deaf, sightings } = this.#context
    const isSettling = sightings.outcome(this.#direction, this.#queueId) !== undefined
    return deaf === null && !isSettling ? SELDOM_MS : LOOK_MS
  }

  #came(hop: HopName, at: number): true {
    this.#context.onHop(hop, at)
    return true
  }

  #stuck(hop: HopName, fault: Diagnosis): false {
    this.#context.onFault(hop, fault)
    return false
  }
}
