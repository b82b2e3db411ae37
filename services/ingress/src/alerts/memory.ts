import type { AlertMessage } from '@clinic-sync/contracts'
import type { ToldAlert } from '@clinic-sync/operations'
import type { FastifyBaseLogger } from 'fastify'
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe } from '../describe.ts'

/** Where a text is kept for whoever leads next. */
export interface AlertMemory {
  /** Null: nothing is kept. @throws SyncError */
  read(): Promise<string | null>
  /** @throws SyncError */
  write(text: string): Promise<void>
}

export interface Kept {
  readonly told: readonly ToldAlert[]
  readonly waiting: readonly AlertMessage[]
}

/** At the end: RabbitMQ that answers takes milliseconds, and one that is silent must not use up the time there is for closing. */
const LAST_MS = 2_000

/** Of another version's text nothing is understood. */
const FORMAT = 1

/** What has been told, kept for after a restart and for another ingress that takes over. Without a place for it, it is told anew. */
export class Recollection {
  readonly #memory: AlertMemory | undefined
  readonly #log: FastifyBaseLogger
  readonly #own = randomUUID()
  #wanted: string | null = null
  #written: string | null = null
  #writing: Promise<void> | null = null

  constructor(memory: AlertMemory | undefined, log: FastifyBaseLogger) {
    this.#memory = memory
    this.#log = log
  }

  /** What is kept of another, or of this one before its start; null: nothing, or what this one knows is newer. Never rejects. */
  async load(): Promise<Kept | null> {
    const text = await this.#memory?.read().catch((error: unknown) => {
      this.#log.warn(describe(error), 'what alerts have told is not known: it may be told anew')
      return null
    })
    const kept = keptIn(text ?? null)
    return kept === null || kept.by === this.#own ? null : kept
  }

  /** Writes it, if it is another than before; of several the last. */
  keep({ told, waiting }: Kept): void {
    this.#wanted = JSON.stringify({ format: FORMAT, by: this.#own, told, waiting })
    this.#writing ??= this.#write().finally(() => (this.#writing = null))
  }

  /** Waits for what is being written, 2 s at most. */
  async close(): Promise<void> {
    const over = new AbortController()
    const late = sleep(LAST_MS, undefined, { signal: over.signal }).catch(() => undefined)
    await Promise.race([this.#writing, late])
    over.abort()
  }

  async #write(): Promise<void> {
    while (this.#wanted !== null && this.#wanted !== this.#written) {
      const text = this.#wanted
      try {
        await this.#memory?.write(text)
        this.#written = text
      } catch (error) {
        this.#log.debug(describe(error), 'what alerts have told could not be kept')
        return
      }
    }
  }
}

function keptIn(text: string | null): (Kept & { readonly by: string }) | null {
  try {
    const kept = JSON.parse(text ?? 'null') as (Kept & { by: string; format: number }) | null
    return kept?.format === FORMAT && Array.isArray(kept.told) && Array.isArray(kept.waiting) ? kept : null
  } catch {
    return null
  }
}
