import { openClinic } from '@clinic-sync/clinic'
import { openPortal } from '@clinic-sync/portal'
import { createLogger } from '@clinic-sync/runtime'
import { compareSides } from './compare.ts'
import { type ConflictResult, conflicts, makeConflict } from './live/conflict.ts'
import { doctorEdits } from './live/doctor-edits.ts'
import { type EditResult, makeEdit } from './live/edit.ts'
import type { People } from './live/person.ts'
import { staffEdits } from './live/staff-edits.ts'
import { reportComparison, reportConflict, reportEdit, reportLatencies } from './run/report.ts'
import type { Screen } from './screen.ts'

/** Two databases with a running sync between them, and the people who edit both. */
export interface Stage {
  readonly people: People
  /** With a login that may read all. */
  readonly clinicUrl: string
  readonly portalUrl: string
  readonly timeZone: string
  /** Waits for the work, or throws when the sync has ended meanwhile. */
  during<T>(work: Promise<T>): Promise<T>
}

/** Every kind of edit once, on both sides, each printed as it arrives. Returns whether all of it came. */
export async function showEdits(screen: Screen, { people, during }: Stage): Promise<boolean> {
  const results: EditResult[] = []
  const show = async (edits: typeof staffEdits) => {
    for (const edit of await edits(people)) {
      const result = await during(makeEdit(people, edit))
      reportEdit(screen, result)
      results.push(result)
    }
  }
  screen.section('Live edits in the clinic, and what the portal shows')
  screen.line(
    screen.faint(
      '  Latency: from the clinic’s answer to COMMIT until the portal’s commit is told by a trigger that only this demo has.',
    ),
  )
  await show(staffEdits)
  screen.section('Live edits by doctors in the portal, and what the clinic shows')
  screen.line(screen.faint('  Latency: from Postgres’ answer to COMMIT until a SELECT in the clinic shows it.'))
  await show(doctorEdits)
  reportLatencies(screen, results)

  screen.section('Conflicts: the same value changed on both sides before either heard of the other’s')
  const rulings: ConflictResult[] = []
  for (const conflict of await conflicts(people)) {
    const result = await during(makeConflict(people, conflict))
    reportConflict(screen, result)
    rulings.push(result)
  }
  const arrivals = results.flatMap(({ arrived }) => arrived)
  return [...arrivals, ...rulings].every(({ latency }) => latency !== undefined)
}

/** Compares both databases. Returns the number of differences. */
export async function showComparison(screen: Screen, { clinicUrl, portalUrl, timeZone }: Stage): Promise<number> {
  screen.section('Every row and column of both databases, compared')
  const log = createLogger({ name: 'demo', level: 'silent' })
  const clinic = await openClinic({ url: clinicUrl, timeZone, log })
  const portal = await openPortal({ url: portalUrl, log })
  try {
    return reportComparison(screen, await compareSides(clinic, portal))
  } finally {
    await Promise.all([clinic.close(), portal.close()])
  }
}
