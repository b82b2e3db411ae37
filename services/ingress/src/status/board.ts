import type { SyncStatus } from '@clinic-sync/contracts'
import { gatherStatus, type StatusSources } from '@clinic-sync/operations'
import { setTimeout as sleep } from 'node:timers/promises'

/** Between two looks for those who watch. Milliseconds. */
const PACE_MS = 1_000
/** A change is followed by others: what it brings about is looked at together. */
const GATHER_MS = 100
/** What has moved just before a look may not have arrived in the outbox: there is one more look when this has passed. */
const AFTER_MS = 2_000

export interface StatusBoardOptions {
  readonly sources: StatusSources
  /** @returns how to end it. */
  readonly listen: (listener: () => void) => () => void
  /** Runs while somebody watches. */
  readonly elsewhere: (signal: AbortSignal) => Promise<void>
  readonly paceMs?: number
  readonly afterMs?: number
}

/** Tells how the sync does: once, or whenever something changes. However many ask at a time, the databases are asked once. */
export class StatusBoard {
  readonly #options: StatusBoardOptions
  #running: Promise<SyncStatus> | undefined
  #next: Promise<SyncStatus> | undefined
  #watching = 0
  #elsewhere = new AbortController()

  constructor(options: StatusBoardOptions) {
    this.#options = options
  }

  /** What holds at some moment after this call. */
  read(): Promise<SyncStatus> {
    if (this.#running === undefined) return this.#look()
    // The one under way may have asked before.
    this.#next ??= this.#running.then(() => {
      this.#next = undefined
      return this.#look()
    })
    return this.#next
  }

  /** At once, and after each change, at most once a second. While nothing happens nobody is asked. Ends when `signal` is aborted. */
  async *watch(signal: AbortSignal): AsyncGenerator<SyncStatus, void> {
    const { listen, paceMs = PACE_MS, afterMs = AFTER_MS } = this.#options
    let changed: 'no' | 'yes' | 'later' = 'yes'
    let wake: () => void = () => undefined
    let later: NodeJS.Timeout | undefined
    const tell = () => {
      changed = 'yes'
      wake()
      clearTimeout(later)
      later = setTimeout(() => {
        changed = 'later'
        wake()
      }, afterMs)
    }
    const forget = listen(tell)
    signal.addEventListener('abort', () => wake(), { once: true })
    this.#begin()
    try {
      while (!signal.aborted) {
        if (changed === 'no') await new Promise<void>((resolve) => (wake = resolve))
        if (changed === 'yes') await sleep(GATHER_MS, undefined, { signal })
        changed = 'no'
        const began = performance.now()
        yield await this.read()
        await sleep(Math.max(0, paceMs - (performance.now() - began)), undefined, { signal })
      }
    } catch (error) {
      if (!signal.aborted) throw error
    } finally {
      forget()
      clearTimeout(later)
      this.#end()
    }
  }

  #look(): Promise<SyncStatus> {
    const running = gatherStatus(this.#options.sources).finally(() => {
      if (this.#running === running) this.#running = undefined
    })
    this.#running = running
    return running
  }

  #begin(): void {
    if (this.#watching++ > 0) return
    this.#elsewhere = new AbortController()
    void this.#options.elsewhere(this.#elsewhere.signal)
  }

  #end(): void {
    if (--this.#watching === 0) this.#elsewhere.abort()
  }
}
