import type { AlertMessage } from '@clinic-sync/contracts'
import type { ToldAlert } from '@clinic-sync/operations'
import type { FastifyBaseLogger } from 'fastify'
import { randomUUID } from 'node:crypto'
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

  async close(): Promise<void> {
    await this.#writing
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
