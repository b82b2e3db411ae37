import { changeClinic, changePortal, type Edits } from '../load/changes.ts'
import { type Extent, extentOf } from '../load/clinic.ts'
import type { Figure, Measure } from '../measure.ts'
import { filled } from '../stage/filled.ts'
import { inMode } from '../stage/mode.ts'
import type { Stage } from '../stage/stage.ts'
import { lastId, purge, rowsAfter, type Side, untilSettled } from './outboxes.ts'

/**
 * Every record of the clinic changed once, queued while nothing rings; then from the ring until the last outbox row is settled: taken,
 * published, confirmed, applied, reported, Synced. The same with doctors' edits; what the clinic then
 * sends back, since its triggers fire as for anybody's edit, takes its part of the machine, is waited for, and is not counted.
 */
export const sustained: Measure = {
  name: 'sustained',
  when: 'each',
  async prepare(stage, scale) {
    await filled(stage, scale)
    await inMode(stage, 'by hand')
    // The way to the clinic is cold yet; the other was warmed by the filling.
    await drainPortal(stage, editsOf(extentOf(scale.clinicChanges), scale.portalEdits))
    await purge(stage)
  },
  async run(stage, scale): Promise<Figure[]> {
    await inMode(stage, 'by hand')
    await purge(stage)
    const toPortal = await drainClinic(stage, scale.clinicChanges)
    await purge(stage)
    const toClinic = await drainPortal(stage, editsOf(extentOf(scale.clinicChanges), scale.portalEdits))
    await purge(stage)
    const figure = { unit: 'changes/s', better: 'more' } as const
    return [
      { ...figure, name: 'clinic → portal, sustained', value: toPortal },
      { ...figure, name: 'portal → clinic, sustained', value: toClinic },
    ]
  },
}

/** Queues changes while nothing rings, then rings once. @returns changes a second, from the ring until the last row is settled */
export async function drainClinic(stage: Stage, records: number): Promise<number> {
  await queued(stage, 'clinic', records, () => changeClinic(stage.clinic))
  return drained(stage, 'clinic', records)
}

/** As `drainClinic`, of doctors' edits. */
export async function drainPortal(stage: Stage, edits: Edits): Promise<number> {
  const records = edits.batches + edits.notes
  await queued(stage, 'portal', records, () => changePortal(stage.portal, edits))
  return drained(stage, 'portal', records)
}

/** Runs statements that nothing rings for. @throws Error if they do not make as many outbox rows: something else would be measured */
export async function queued(stage: Stage, side: Side, records: number, change: () => Promise<void>): Promise<void> {
  const before = await lastId(stage, side)
  await change()
  const rows = await rowsAfter(stage, side, before)
  if (rows !== records) throw new Error(`${records} records of the ${side} should have changed, and ${rows} have.`)
}

/** Rings once for what is pending. @returns changes a second */
export async function drained(stage: Stage, side: Side, events: number): Promise<number> {
  const last = await lastId(stage, side)
  const since = performance.now()
  const rung = stage.crew.ring(side === 'clinic' ? 'sql-to-postgres' : 'postgres-to-sql')
  const [until] = await Promise.all([untilSettled(stage, side, events, last), rung])
  return (events * 1_000) / (until - since)
}

/** So many edits, by both kinds of them, of what there is in an extent. */
function editsOf({ batches, notes }: Extent, edits: number): Edits {
  const ofBatches = Math.min(batches, Math.round(edits * 0.52))
  if (edits - ofBatches > notes) throw new Error(`The clinic is too small for ${edits} edits.`)
  return { batches: ofBatches, notes: edits - ofBatches }
}
