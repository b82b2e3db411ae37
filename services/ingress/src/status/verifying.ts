import type { Reachable, RunningVerification, Verification, VerificationPart } from '@clinic-sync/contracts'
import { verify, type VerifyPorts } from '@clinic-sync/operations'
import type { Verifications } from '@clinic-sync/sync'
import type { FastifyBaseLogger } from 'fastify'
import { describe } from '../describe.ts'

/** Between two times at which those who watch are told how far it is: each makes them look at the status. Milliseconds. */
const TOLD_MS = 2_000

/** Rows a page: the ingress has little memory, and no hurry. */
const PAGE = 250

export interface VerifyingOptions {
  readonly clinic: VerifyPorts['clinic']
  readonly portal: VerifyPorts['portal'] & Verifications
  /** Tells those who watch the status. */
  readonly changed: () => void
  /** Tells the other ingresses that a result was kept: the one that leads alerts. Must not throw. */
  readonly share?: () => void
  readonly log: FastifyBaseLogger
  readonly patienceMs?: number
  readonly toldMs?: number
}

/**
 * The comparison of both databases that this ingress runs when it is asked to, one at a time, and the last one's result, whoever ran it: it
 * is read once, and again when a command says that it has kept one.
 */
export class Verifying {
  readonly #options: VerifyingOptions
  readonly #stopping = new AbortController()
  #last: Promise<Verification | null> | undefined
  #running: RunningVerification | null = null
  #ended: Promise<void> = Promise.resolve()

  constructor(options: VerifyingOptions) {
    this.#options = options
  }

  /** @throws DatabaseError where the last result cannot be read: the next one who asks has it tried again */
  async part(): Promise<Reachable<VerificationPart>> {
    this.#last ??= this.#options.portal.lastVerification()
    const asked = this.#last
    try {
      return { reachable: true, last: await asked, running: this.#running }
    } catch (error) {
      if (this.#last === asked) this.#last = undefined
      throw error
    }
  }

  /** Begins one. @returns when; null: one runs already, or this ingress ends */
  start(): string | null {
    if (this.#running !== null || this.#stopping.signal.aborted) return null
    const startedAt = new Date().toISOString()
    this.#running = { startedAt, rows: 0, of: null }
    this.#ended = this.#run(startedAt)
    this.#options.changed()
    return startedAt
  }

  /** Somebody else has kept a result, and says so here only. */
  kept(): void {
    this.heardOfKept()
    this.#options.share?.()
  }

  /** Another ingress says that a result was kept: it has told all others. */
  heardOfKept(): void {
    this.#last = undefined
    this.#options.changed()
  }

  /** What runs ends, and keeps nothing. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#ended
  }

  async #run(startedAt: string): Promise<void> {
    const { clinic, portal, changed, log, patienceMs, toldMs = TOLD_MS } = this.#options
    const { signal } = this.#stopping
    let told = performance.now()
    try {
      const estimates = [...(await portal.rowEstimates()).values()].reduce((sum, rows) => sum + rows, 0)
      const result = await verify(
        { clinic, portal },
        {
          signal,
          page: PAGE,
          ...(patienceMs !== undefined && { patienceMs }),
          progress: ({ rows }) => {
            this.#running = { startedAt, rows, of: estimates === 0 ? null : Math.max(estimates, rows) }
            if (performance.now() - told < toldMs) return
            told = performance.now()
            changed()
          },
        },
      )
      signal.throwIfAborted()
      await portal.keepVerification(result)
      this.#last = undefined
      this.#options.share?.()
      const { rows, differences, inFlight } = result
      log.info({ rows, differences, inFlight }, 'both databases were compared')
    } catch (error) {
      if (!signal.aborted) log.warn(describe(error), 'both databases could not be compared to the end')
    } finally {
      this.#running = null
      changed()
    }
  }
}
