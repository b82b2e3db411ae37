import type { Side } from '@clinic-sync/contracts'
import { setTimeout as delay } from 'node:timers/promises'
import { commit, look, type People } from './person.ts'

/** What to look at, and the value that says the change has arrived. */
export interface Expectation {
  readonly side: Side
  /** For people. */
  readonly where: string
  /** A query on that side with one row and one column `value` (text). */
  readonly look: string
  readonly expected: string | null
}

/** One change that a person makes on one side, and where it shows on the other. */
export interface LiveEdit {
  readonly title: string
  readonly side: Side
  /** Run in order in one transaction. */
  readonly statements: readonly string[]
  /** Where it arrives; and what else follows from it, on either side. */
  readonly shows: readonly Expectation[]
}

export interface Arrived {
  readonly expectation: Expectation
  readonly before: string | null
  readonly now: string | null
  /** From the answer to COMMIT until the other side shows it, in ms; undefined if it did not in time. */
  readonly latency: number | undefined
}

export interface EditResult {
  readonly edit: LiveEdit
  readonly arrived: readonly Arrived[]
}

/** A live edit takes tens of milliseconds; ten seconds without it is a failure to report, not a reason to hang. */
const PATIENCE = 10_000
/** SQL Server has no notification like Postgres': how often the demo, and nothing of the product, asks it. */
const ASK_MS = 2

/** Makes the edit and waits until every place shows the expected value. */
export async function makeEdit(people: People, edit: LiveEdit): Promise<EditResult> {
  const before = await Promise.all(edit.shows.map((place) => look(people, place.side, place.look)))
  // The arrival may reach this process before the answer to COMMIT does.
  const seen = watchPortal(people)
  try {
    const committed = await commit(people, edit.side, edit.statements)
    const arrived = edit.shows.map(async (expectation, i): Promise<Arrived> => {
      const found =
        expectation.side === 'portal'
          ? await seenInPortal(people, expectation, seen, committed + PATIENCE)
          : await seenInClinic(people, expectation, committed + PATIENCE)
      const latency = found.at === undefined ? undefined : Math.max(0, found.at - committed)
      return { expectation, before: before[i] ?? null, now: found.value, latency }
    })
    return { edit, arrived: await Promise.all(arrived) }
  } finally {
    seen.stop()
  }
}

interface Found {
  readonly value: string | null
  readonly at: number | undefined
}

/** Asks until the clinic shows the value. */
async function seenInClinic(people: People, place: Expectation, deadline: number): Promise<Found> {
  while (true) {
    const value = await look(people, 'clinic', place.look)
    if (value === place.expected) return { value, at: performance.now() }
    if (performance.now() > deadline) return { value, at: undefined }
    await delay(ASK_MS)
  }
}

interface PortalWatch {
  /** When the last arrival was told. */
  last(): number | undefined
  /** Resolves at the next arrival, or after `ms`. */
  next(ms: number): Promise<void>
  stop(): void
}

function watchPortal(people: People): PortalWatch {
  let last: number | undefined
  const wakes = new Set<() => void>()
  const stop = people.portal.subscribe((arrival) => {
    last = arrival.at
    for (const wake of wakes) wake()
  })
  return {
    last: () => last,
    next: (ms) =>
      new Promise((resolve) => {
        const done = () => {
          clearTimeout(timer)
          wakes.delete(done)
          resolve()
        }
        const timer = setTimeout(done, ms)
        wakes.add(done)
      }),
    stop,
  }
}

/** Looks again at every arrival until the portal shows the value; the arrival before that look is when it came. */
async function seenInPortal(people: People, place: Expectation, seen: PortalWatch, deadline: number): Promise<Found> {
  while (true) {
    const at = seen.last()
    const value = await look(people, 'portal', place.look)
    if (value === place.expected && at !== undefined) return { value, at }
    const left = deadline - performance.now()
    if (left <= 0) return { value, at: undefined }
    if (seen.last() === at) await seen.next(left)
  }
}
