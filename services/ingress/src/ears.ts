import type { Side } from '@clinic-sync/contracts'

/** Somebody who waits to hear a side's doorbell. */
export interface Ear {
  readonly heard: Promise<void>
  /** The status of the latest HTTP doorbell that was refused meanwhile. */
  refused(): number | undefined
  close(): void
}

/** Tells whoever waits for it that a doorbell was heard. */
export class Ears {
  readonly #open: Record<Side, Set<{ hear: () => void; status: number | undefined }>> = {
    clinic: new Set(),
    portal: new Set(),
  }

  open(side: Side): Ear {
    let hear: () => void = () => undefined
    const heard = new Promise<void>((resolve) => (hear = resolve))
    const ear = { hear, status: undefined as number | undefined }
    this.#open[side].add(ear)
    return { heard, refused: () => ear.status, close: () => void this.#open[side].delete(ear) }
  }

  heard(side: Side): void {
    for (const { hear } of this.#open[side]) hear()
  }

  /** An HTTP doorbell of this side was not accepted, and answered `status`. */
  refused(side: Side, status: number): void {
    for (const ear of this.#open[side]) ear.status = status
  }
}
