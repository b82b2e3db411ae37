import type { FastifyRequest } from 'fastify'

/**
 * Requests whose body is on its way and whose sender is not known before it is there: of more than so many the oldest is hung up on. A true
 * one is there within milliseconds; without this, whoever sends bodies slowly held every connection of his source, and behind a tunnel
 * that is the true doorbells' as well.
 */
export class PendingBodies {
  readonly #most: number
  /** The oldest first. */
  readonly #pending = new Set<FastifyRequest>()

  constructor(most: number) {
    this.#most = most
  }

  add(request: FastifyRequest): void {
    this.#pending.add(request)
    request.raw.once('close', () => this.#pending.delete(request))
    const [oldest] = this.#pending
    if (this.#pending.size <= this.#most || oldest === undefined) return
    this.#pending.delete(oldest)
    oldest.raw.destroy()
  }

  /** Its body is there. */
  done(request: FastifyRequest): void {
    this.#pending.delete(request)
  }
}
