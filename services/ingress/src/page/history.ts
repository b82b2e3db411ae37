import { ARRIVED, type Direction, type History as Told, type Minute, type OutcomeBatch } from '@clinic-sync/contracts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
/** Both directions, for so long: 2,880 rows at most, some 400 kB. */
const KEPT_MS = 24 * HOUR_MS

/** A minute of one direction while it runs. */
interface Running {
  readonly at: number
  changes: number
  /** How many changes came in batches with this median, by the median: as many entries as there are different milliseconds. */
  readonly medians: Map<number, number>
  worstMs: number | null
}

export interface HistoryOptions {
  /** Tells the other ingresses what was counted here. */
  readonly share?: (minutes: readonly Minute[]) => void
  readonly now?: () => number
  readonly minuteMs?: number
}

/**
 * What has arrived in each direction, by the minute, for the last 24 hours, in memory: no database is asked. It is counted by the
 * ingress that settles the outcomes, of several one for each direction, which tells the others when a minute has ended. While nothing
 * arrives nothing runs.
 */
export class MinuteHistory {
  readonly #options: HistoryOptions
  readonly #minuteMs: number
  readonly #now: () => number
  readonly #startedAt: number
  readonly #running = new Map<Direction, Running>()
  /** By direction and beginning, the oldest first. */
  readonly #ended = new Map<string, Minute>()
  #timer: NodeJS.Timeout | undefined
  readonly #listeners = new Set<(minute: Minute) => void>()

  constructor(options: HistoryOptions = {}) {
    this.#options = options
    this.#minuteMs = options.minuteMs ?? MINUTE_MS
    this.#now = options.now ?? Date.now
    this.#startedAt = this.#now()
  }

  /** Counts what consumers have reported, once it is settled. Microseconds. */
  heard(batches: readonly OutcomeBatch[]): void {
    for (const { direction, outcomes, latency } of batches) {
      let changes = 0
      for (const { outcome } of outcomes) if (ARRIVED.has(outcome)) changes++
      if (changes === 0) continue
      const running = this.#of(direction)
      running.changes += changes
      if (latency === undefined) continue
      const { medianMs, worstMs } = latency
      running.medians.set(medianMs, (running.medians.get(medianMs) ?? 0) + changes)
      running.worstMs = Math.max(running.worstMs ?? 0, worstMs)
    }
  }

  /** Another ingress has counted these. */
  told(minutes: readonly Minute[]): void {
    for (const minute of minutes) this.#keep(minute)
  }

  /** @param hours how far back */
  read(hours: number): Told {
    this.#end()
    const since = this.#now() - hours * HOUR_MS
    const minutes = [
      ...this.#ended.values(),
      ...Array.from(this.#running, ([direction, each]) => minuteOf(direction, each)),
    ]
    return {
      startedAt: new Date(this.#startedAt).toISOString(),
      minutes: minutes
        .filter(({ at }) => Date.parse(at) >= since)
        .toSorted((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0)),
    }
  }

  /** @returns how to end it. */
  listen(listener: (minute: Minute) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  #of(direction: Direction): Running {
    this.#end()
    const at = Math.floor(this.#now() / this.#minuteMs) * this.#minuteMs
    let running = this.#running.get(direction)
    if (running === undefined) {
      running = { at, changes: 0, medians: new Map(), worstMs: null }
      this.#running.set(direction, running)
      this.#wait(at + this.#minuteMs)
    }
    return running
  }

  /** Until the minute has ended: a clock that was set back would otherwise have it end never. */
  #wait(end: number): void {
    if (this.#timer !== undefined) return
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined
        this.#end(true)
      },
      Math.max(1, Math.min(this.#minuteMs, end - this.#now())),
    ).unref()
  }

  /** Closes the minutes that have ended. */
  #end(isTime = false): void {
    const began = Math.floor(this.#now() / this.#minuteMs) * this.#minuteMs
    const ended: Minute[] = []
    for (const [direction, running] of this.#running) {
      if (running.at === began && !isTime) continue
      this.#running.delete(direction)
      ended.push(minuteOf(direction, running))
    }
    if (ended.length === 0) return
    if (this.#running.size === 0) {
      clearTimeout(this.#timer)
      this.#timer = undefined
    }
    for (const minute of ended) this.#keep(minute)
    this.#options.share?.(ended)
  }

  #keep(minute: Minute): void {
    const name = `${minute.direction} ${minute.at}`
    const before = this.#ended.get(name)
    const kept = before === undefined ? minute : together(before, minute)
    this.#ended.set(name, kept)
    const oldest = this.#now() - KEPT_MS
    for (const [each, { at }] of this.#ended) {
      if (Date.parse(at) >= oldest && this.#ended.size <= (2 * KEPT_MS) / MINUTE_MS) break
      this.#ended.delete(each)
    }
    for (const listener of this.#listeners) listener(kept)
  }
}

const minuteOf = (direction: Direction, { at, changes, medians, worstMs }: Running): Minute => ({
  at: new Date(at).toISOString(),
  direction,
  changes,
  medianMs: medianOf(medians),
  worstMs,
})

/** The median of the medians, each of which counts as often as there were changes. */
function medianOf(medians: ReadonlyMap<number, number>): number | null {
  const all = [...medians].toSorted(([a], [b]) => a - b)
  const half = all.reduce((sum, [, weight]) => sum + weight, 0) / 2
  let before = 0
  for (const [median, weight] of all) if ((before += weight) >= half) return median
  return null
}

/** One minute of which two ingresses have each settled a part, since one took over from the other. */
function together(one: Minute, other: Minute): Minute {
  const medians = new Map<number, number>()
  for (const { medianMs, changes } of [one, other])
    if (medianMs !== null) medians.set(medianMs, (medians.get(medianMs) ?? 0) + changes)
  const worst = [one, other].flatMap(({ worstMs }) => worstMs ?? [])
  return {
    ...one,
    changes: one.changes + other.changes,
    medianMs: medianOf(medians),
    worstMs: worst.length === 0 ? null : Math.max(...worst),
  }
}
