import { setTimeout as sleep } from 'node:timers/promises'
import { changeClinic, changePortal } from '../load/changes.ts'
import type { Extent } from '../load/clinic.ts'
import type { Stage } from '../stage/stage.ts'

/** Outbox rows that are not settled. */
export async function unsettled({ clinic, portal }: Stage, side: 'clinic' | 'portal'): Promise<number> {
  if (side === 'portal') {
    const { rows } = await portal.query<{ n: string }>("SELECT count(*) AS n FROM sync.queue WHERE status <> 'Synced'")
    return Number(rows[0]?.n)
  }
  const { recordset } = await clinic
    .request()
    .query<{ n: number }>("SELECT COUNT(*) AS n FROM dbo.SyncQueue WHERE Status <> N'Synced'")
  return Number(recordset[0]?.n)
}

const CONSUMER = { clinic: 'sql-to-postgres', portal: 'postgres-to-sql' } as const

/** Waits until a side's outbox is settled. It is asked for only when the consumer has had `events` more than `before`. */
export async function untilSettled(
  stage: Stage,
  side: 'clinic' | 'portal',
  before: number,
  events: number,
): Promise<void> {
  for (;;) {
    const applied = await stage.crew.metric(CONSUMER[side], 'clinic_sync_events_total')
    if (applied - before >= events) break
    await sleep(Math.min(50, 10 + (before + events - applied) / 100))
  }
  while ((await unsettled(stage, side)) > 0) await sleep(10)
}

export const eventsOf = ({ crew }: Stage, side: 'clinic' | 'portal') =>
  crew.metric(CONSUMER[side], 'clinic_sync_events_total')

/** Queues changes while nothing rings, then rings once. @returns changes a second, from the ring until the last row is settled */
export async function drainClinic(stage: Stage, round: number, records: number): Promise<number> {
  await changeClinic(stage.clinic, round)
  const before = await eventsOf(stage, 'clinic')
  const since = performance.now()
  await stage.crew.ring('sql-to-postgres')
  await untilSettled(stage, 'clinic', before, records)
  return (records * 1_000) / (performance.now() - since)
}

/** As `drainClinic`, of doctors' edits. */
export async function drainPortal(
  stage: Stage,
  round: number,
  extent: Pick<Extent, 'batches' | 'notes'>,
): Promise<number> {
  await changePortal(stage.portal, round, extent)
  const edits = extent.batches + extent.notes
  const before = await eventsOf(stage, 'portal')
  const since = performance.now()
  await stage.crew.ring('postgres-to-sql')
  await untilSettled(stage, 'portal', before, edits)
  return (edits * 1_000) / (performance.now() - since)
}
