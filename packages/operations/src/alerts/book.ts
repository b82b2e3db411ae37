import { type Finding, keyOf, type Subject } from './facts.ts'
import type { AlertJudgement } from './judge.ts'

/** When a condition is told, and when that it is over. Milliseconds. */
export interface AlertTiming {
  /** How long it must hold first. */
  readonly holdMs: number
  /** How long it must be gone before that is told. */
  readonly quietMs: number
  /** How long it must have been known first: what a cause has held up needs some time when that is over. Default: none. */
  readonly settleMs?: number
}

export interface AlertRules {
  readonly timing: (condition: Subject['condition']) => AlertTiming
  /** A gap of this length does not interrupt what has not been told yet. */
  readonly gapMs: number
  /** Who comes back within this time of its end is flapping: its next end is told after twice the quiet, up to `mostQuietMs`. */
  readonly flappingMs: number
  readonly mostQuietMs: number
  /** Between two messages on what has not ended, which has got new aspects. */
  readonly moreMs: number
}

const MINUTE = 60_000
/** A service or a RabbitMQ that is restarted is back within half a minute. */
const OUTAGE: AlertTiming = { holdMs: 30_000, quietMs: 30_000 }
/** The facts themselves have waited: see judge.ts. Whoever connects again does so after half a minute at most. */
const WAITED: AlertTiming = { holdMs: 0, quietMs: 30_000, settleMs: MINUTE }
const AT_ONCE: AlertTiming = { holdMs: 0, quietMs: 0 }

const TIMING: Readonly<Record<Subject['condition'], AlertTiming>> = {
  rabbitmq: OUTAGE,
  clinic: OUTAGE,
  portal: OUTAGE,
  // Who has just taken the lead compares within seconds.
  restored: { holdMs: 0, quietMs: 30_000 },
  doorbell: { holdMs: MINUTE, quietMs: 30_000 },
  stalled: WAITED,
  // They come in bursts: one message for all of it.
  'dead-letters': { holdMs: 10_000, quietMs: 0 },
  verification: AT_ONCE,
}

export const ALERT_RULES: AlertRules = {
  timing: (condition) => TIMING[condition],
  gapMs: 10_000,
  flappingMs: 60 * MINUTE,
  mostQuietMs: 30 * MINUTE,
  moreMs: 10 * MINUTE,
}

/** What is to be told. Instants in milliseconds since 1970. */
export interface AlertEvent {
  readonly state: 'problem' | 'recovered'
  readonly finding: Finding
  readonly since: number
  /** When it was over; null: it lasts. */
  readonly until: number | null
}

/** What has been told of a condition, and is to be known after a restart. */
export interface ToldAlert {
  readonly finding: Finding
  readonly since: number
  readonly at: number
  readonly quietMs: number
  /** When its end was told; null: it lasts. */
  readonly endedAt: number | null
}

interface Entry {
  told: ToldAlert | null
  /** Held since, and seen last, without having been told. */
  heldSince: number | null
  seenAt: number
  goneSince: number | null
}

/**
 * Which conditions have been told. Pure: what is found, and the time, are arguments.
 *
 * A condition is told once it has held for `holdMs`; shorter gaps than `gapMs` do not count. Its end is told once it has been gone for
 * `quietMs` without a break. Of one that comes back within an hour, each next end needs twice the quiet, up to half an hour: however it
 * flaps, some ten messages an hour become none. What cannot be known stands as it was told.
 */
export class AlertBook {
  readonly #rules: AlertRules
  readonly #entries = new Map<string, Entry>()
  /** When it was not known last. */
  readonly #unknownAt = new Map<string, number>()

  constructor(rules: AlertRules = ALERT_RULES) {
    this.#rules = rules
  }

  /** @param now milliseconds since 1970 */
  step({ findings, doubtful, unknown }: AlertJudgement, now: number): AlertEvent[] {
    for (const key of unknown) this.#unknownAt.set(key, now)
    const found = new Map(findings.map((finding) => [keyOf(finding), finding]))
    const events = findings.flatMap((finding) => this.#holds(keyOf(finding), finding, now))
    for (const [key, entry] of this.#entries) {
      if (found.has(key)) continue
      if (unknown.has(key)) entry.heldSince = null
      if (unknown.has(key) || doubtful.has(key)) entry.goneSince = null
      else events.push(...this.#isGone(key, entry, now))
    }
    return events
  }

  /** What has been told and lasts, and what ended so lately that its return would be flapping. */
  told(): ToldAlert[] {
    return [...this.#entries.values()].flatMap(({ told }) => (told === null ? [] : [told]))
  }

  /** What another has told, or this one before its restart. What this one has told itself of `keep` stays. */
  take(told: readonly ToldAlert[], keep: (key: string) => boolean = () => false): void {
    for (const key of this.#entries.keys()) if (!keep(key)) this.#entries.delete(key)
    for (const each of told) {
      const key = keyOf(each.finding)
      if (!this.#entries.has(key)) this.#entries.set(key, { told: each, heldSince: null, seenAt: 0, goneSince: null })
    }
  }

  #holds(key: string, finding: Finding, now: number): AlertEvent[] {
    const { timing, gapMs, moreMs, flappingMs, mostQuietMs } = this.#rules
    const { holdMs, quietMs, settleMs = 0 } = timing(finding.condition)
    const entry = this.#entries.get(key) ?? { told: null, heldSince: null, seenAt: 0, goneSince: null }
    this.#entries.set(key, entry)
    if (entry.heldSince === null || now - entry.seenAt > gapMs) entry.heldSince = now
    entry.seenAt = now
    entry.goneSince = null
    const { told } = entry
    if (told !== null && told.endedAt === null) {
      const isMore = finding.aspects?.some((aspect) => !told.finding.aspects?.includes(aspect)) === true
      if (!isMore || now - told.at < moreMs) return []
      const aspects = [...new Set([...(told.finding.aspects ?? []), ...(finding.aspects ?? [])])]
      entry.told = { ...told, finding: { ...finding, aspects }, at: now }
      return [{ state: 'problem', finding, since: told.since, until: null }]
    }
    const unknownAt = this.#unknownAt.get(key) ?? Number.NEGATIVE_INFINITY
    if (now - entry.heldSince < holdMs || now - unknownAt < settleMs) return []
    const isFlapping = told !== null && told.endedAt !== null && now - told.endedAt < flappingMs
    const quiet = isFlapping ? Math.max(quietMs, Math.min(mostQuietMs, Math.max(told.quietMs, 1_000) * 2)) : quietMs
    const since = Math.min(entry.heldSince, now - Math.round((finding.seconds ?? 0) * 1000))
    entry.told = { finding, since, at: now, quietMs: quiet, endedAt: null }
    return [{ state: 'problem', finding, since, until: null }]
  }

  #isGone(key: string, entry: Entry, now: number): AlertEvent[] {
    const { gapMs, flappingMs } = this.#rules
    if (entry.heldSince !== null && now - entry.seenAt > gapMs) entry.heldSince = null
    const { told } = entry
    if (told === null || told.endedAt !== null) {
      const isOld = told === null ? entry.heldSince === null : now - (told.endedAt ?? 0) >= flappingMs
      if (isOld) this.#entries.delete(key)
      return []
    }
    entry.goneSince ??= now
    if (now - entry.goneSince < told.quietMs) return []
    const until = entry.goneSince
    entry.told = { ...told, endedAt: now }
    entry.heldSince = null
    entry.goneSince = null
    return [{ state: 'recovered', finding: told.finding, since: told.since, until }]
  }
}
