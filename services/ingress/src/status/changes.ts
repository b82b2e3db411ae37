import type { Side } from '@clinic-sync/contracts'
import type { Observer } from '@clinic-sync/sync'

/** What happens in this ingress, for those who show it. */
export class Changes {
  readonly #listeners = new Set<() => void>()
  readonly #lastRang: Record<Side, Date | null> = { clinic: null, portal: null }

  /** To be told by the ingress, besides another one. */
  observerBeside(other: Observer | undefined): Observer {
    return {
      ...other,
      rang: (side, transport) => {
        other?.rang?.(side, transport)
        this.#lastRang[side] = new Date()
        this.changed()
      },
      drained: (side, seconds) => {
        other?.drained?.(side, seconds)
        this.changed()
      },
      leads: (leads) => {
        other?.leads?.(leads)
        this.changed()
      },
    }
  }

  /** When a side's doorbell was heard last; null: not since the start. */
  lastRang(side: Side): string | null {
    return this.#lastRang[side]?.toISOString() ?? null
  }

  changed(): void {
    for (const listener of this.#listeners) listener()
  }

  /** @returns how to end it. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }
}
