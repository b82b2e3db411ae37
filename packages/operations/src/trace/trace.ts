import { randomUUID } from 'node:crypto'
import { type Direction, directionFrom, type Side, type Version } from '@clinic-sync/contracts'
import { ADVICE, type CanaryState, SyncError } from '@clinic-sync/sync'
import { Journey, type LegContext, type LegEnd } from './leg.ts'
import { Sightings } from './sightings.ts'
import type { Fault, Hop, HopName, Leg, TracePorts, TraceResult, Untried } from './types.ts'
import { type Diagnosis, hopWords, notCaptured, ofError, restored, sentence } from './words.ts'

/** Several times what each hop takes where all is well. */
const PATIENCE_MS = 10_000

export interface TraceOptions {
  /** How long a hop may take. Milliseconds. Default 10 s. */
  readonly patienceMs?: number
  /** Told as it happens. */
  readonly onHop?: (hop: Hop) => void
  readonly onFault?: (fault: Fault) => void
  readonly onUntried?: (untried: Untried) => void
}

/**
 * Sends the canary the whole round: written in the clinic, applied in the portal, written there, applied in the clinic, and its ruling
 * back in the portal. Never rejects for what it finds: that is the result. What it has sent settles by itself once a fault is cured, and of
 * what is refused for good it removes the dead letter.
 */
export const trace = (ports: TracePorts, options: TraceOptions = {}): Promise<TraceResult> =>
  new Trace(ports, options).run()

class Trace {
  readonly #ports: TracePorts
  readonly #options: TraceOptions
  readonly #sightings = new Sightings()
  /** `performance.now()` of the first write: what was looked at before is no part of the way. */
  #started = 0
  readonly #hops: Hop[] = []
  readonly #faults: Fault[] = []
  readonly #untried: Untried[] = []
  readonly #notes: string[] = []
  readonly #silent = new Set<Side>()
  #deaf: Diagnosis | null = null
  /** `performance.now()` of the last hop that was applied. */
  #appliedAt = 0

  constructor(ports: TracePorts, options: TraceOptions) {
    this.#ports = ports
    this.#options = options
  }

  async run(): Promise<TraceResult> {
    const [clinic, portal, watch] = await Promise.all([this.#look('clinic'), this.#look('portal'), this.#listen()])
    try {
      const isHeld = [this.#held('clinic', clinic), this.#held('portal', portal)].includes(true)
      if (isHeld || clinic === null || portal === null) this.#tryNothing(isHeld)
      else await this.#round()
      this.#tellDeafness()
      await this.#lookAtCaptures()
    } finally {
      await watch?.close()
    }
    return {
      ok: this.#faults.length === 0 && this.#untried.length === 0,
      totalMs: Math.max(0, ...this.#hops.map(({ atMs }) => atMs)),
      hops: this.#hops,
      faults: this.#faults,
      untried: this.#untried,
      notes: this.#notes,
    }
  }

  async #round(): Promise<void> {
    this.#started = performance.now()
    const there = await this.#leg('there', 'clinic')
    if (this.#isOver('there')) {
      this.#skip('back', 'what keeps the first leg from being sent keeps this one, too')
      return this.#skip('ruling', 'nothing came back to rule on')
    }
    const before = await this.#newest()
    const back = await this.#leg('back', 'portal')
    if (there === 'stuck') return this.#skip('ruling', 'it would take the way that is dead already')
    if (back === 'stuck') return this.#skip('ruling', 'nothing came back to rule on')
    const newest = await this.#newest()
    if (newest === null || newest === before) return this.#skip('ruling', 'the clinic has queued none')
    // It set out when the portal's change was applied, beside the settling of that.
    await new Journey(this.#context('ruling', this.#appliedAt), directionFrom('clinic'), newest).run()
  }

  /** Whether what was found on a leg stops all others. */
  #isOver(leg: Leg): boolean {
    const kinds = new Set(['ingress-unreachable', 'no-leader', 'restored', 'broker-unreachable'])
    return this.#faults.some((fault) => fault.leg === leg && kinds.has(fault.kind))
  }

  async #leg(leg: Leg, side: Side): Promise<LegEnd> {
    const context = this.#context(leg)
    let queueId: Version | null
    try {
      const sent = await this.#ports[side].sendCanary(randomUUID())
      queueId = sent.queueId
      if (queueId === null) context.onFault('captured', notCaptured(side, sent.trigger))
    } catch (error) {
      queueId = null
      context.onFault('captured', ofError(error, side))
    }
    if (queueId === null) return 'stuck'
    context.onHop('captured', performance.now())
    return new Journey(context, directionFrom(side) satisfies Direction, queueId).run()
  }

  #context(leg: Leg, from = performance.now()): LegContext {
    const { patienceMs = PATIENCE_MS } = this.#options
    let before = from
    return {
      ports: this.#ports,
      sightings: this.#sightings,
      deaf: this.#deaf,
      silent: this.#silent,
      patienceMs,
      onHop: (hop, at) => {
        // Two connections tell of it: what came first may be told second.
        const then = Math.max(at, before)
        const found = {
          leg,
          hop,
          what: hopWords(leg, hop),
          ms: rounded(then - before),
          atMs: rounded(then - this.#started),
        }
        before = then
        if (hop === 'applied') this.#appliedAt = then
        this.#hops.push(found)
        this.#options.onHop?.(found)
      },
      onFault: (hop, fault) => this.#found({ ...fault, leg, hop }),
    }
  }

  async #look(side: Side): Promise<CanaryState | null> {
    try {
      return await this.#ports[side].readCanary(null)
    } catch (error) {
      this.#found({ ...ofError(error, side), leg: null, hop: null })
      return null
    }
  }

  #held(side: Side, state: CanaryState | null): boolean {
    if (state?.isHeld !== true) return false
    this.#found({ ...restored(side), leg: null, hop: null })
    return true
  }

  async #listen(): Promise<{ close(): Promise<void> } | null> {
    try {
      await this.#ports.queues()
      return await this.#ports.watch((sight) => this.#sightings.add(sight))
    } catch (error) {
      const what = error instanceof SyncError ? sentence(error.message) : 'RabbitMQ could not be asked.'
      const todo = error instanceof SyncError ? error.advice : ADVICE.SYNC_BROKER_DOWN
      this.#deaf = { kind: 'broker-unreachable', what, todo }
      return null
    }
  }

  async #newest(): Promise<Version | null> {
    try {
      return (await this.#ports.clinic.readCanary(null)).newest?.queueId ?? null
    } catch {
      return null
    }
  }

  async #lookAtCaptures(): Promise<void> {
    try {
      for (const fault of await this.#ports.captures())
        this.#found({ ...fault, kind: 'captures', leg: null, hop: null })
    } catch (error) {
      if (!(error instanceof SyncError)) throw error
      this.#notes.push(`The triggers on the records themselves could not be looked at: ${sentence(error.message)}`)
    }
  }

  /** Where the canary came through all the same, it is this machine alone that cannot reach RabbitMQ. */
  #tellDeafness(): void {
    const deaf = this.#deaf
    if (deaf === null || this.#faults.some(({ kind }) => kind === deaf.kind)) return
    if (this.#faults.length > 0 || this.#untried.length > 0) this.#found({ ...deaf, leg: null, hop: null })
    else this.#notes.push(`${deaf.what} The services reach it: the hops’ times are the outboxes’.`)
  }

  #tryNothing(isHeld: boolean): void {
    const why = isHeld ? 'it would wait for the repair' : 'one of the databases cannot be used'
    for (const leg of ['there', 'back', 'ruling'] as const) this.#skip(leg, why)
  }

  #skip(leg: Leg, why: string): void {
    const untried = { leg, why }
    this.#untried.push(untried)
    this.#options.onUntried?.(untried)
  }

  #found(fault: Diagnosis & { leg: Leg | null; hop: HopName | null }): void {
    this.#faults.push(fault)
    this.#options.onFault?.(fault)
  }
}

const rounded = (ms: number): number => Math.round(ms * 10) / 10
