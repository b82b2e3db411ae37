import { setTimeout as sleep } from 'node:timers/promises'
import type { Stage } from '../stage/stage.ts'

export type Side = 'clinic' | 'portal'

/** Ids that are asked for: so many of the last that every partition's last is among them. */
const SAMPLE = 64
/** Within this some row must be settled, milliseconds: else nothing moves any more. */
const PATIENCE = 30_000

/** The highest id that an outbox holds; 0: none. */
export async function lastId({ clinic, portal }: Stage, side: Side): Promise<number> {
  if (side === 'portal')
    return first(portal.query<{ n: string }>('SELECT coalesce(max(queue_id), 0) AS n FROM sync.queue'))
  return first(clinic.request().query<{ n: string }>('SELECT COALESCE(MAX(QueueID), 0) AS n FROM dbo.SyncQueue'))
}

/** Rows that an outbox got after `id`. */
export async function rowsAfter({ clinic, portal }: Stage, side: Side, id: number): Promise<number> {
  if (side === 'portal')
    return first(portal.query<{ n: string }>('SELECT count(*) AS n FROM sync.queue WHERE queue_id > $1', [id]))
  return first(clinic.request().query<{ n: number }>(`SELECT COUNT(*) AS n FROM dbo.SyncQueue WHERE QueueID > ${id}`))
}

/** Rows that are neither Synced nor Failed. The simulator looks at every row for this: 2 µs each. */
export async function unsettled({ clinic, portal }: Stage, side: Side): Promise<number> {
  if (side === 'portal')
    return first(
      portal.query<{ n: string }>("SELECT count(*) AS n FROM sync.queue WHERE status IN ('Pending', 'Queued')"),
    )
  return first(
    clinic
      .request()
      .query<{ n: number }>("SELECT COUNT(*) AS n FROM dbo.SyncQueue WHERE Status IN (N'Pending', N'Queued')"),
  )
}

/**
 * Waits until an outbox is settled, and asks little meanwhile: by key, whether the last rows are, which a drain takes last. The
 * count of all comes once they are, and is not part of the time.
 *
 * @param events about how many there are, for how often to ask
 * @param lastOf the last of them, if it is known already
 * @returns `performance.now()` when the last was seen to be settled
 * @throws Error if a service ended, or nothing comes to an end
 */
export async function untilSettled(stage: Stage, side: Side, events: number, lastOf?: number): Promise<number> {
  const last = lastOf ?? (await lastId(stage, side))
  const pause = Math.min(50, Math.max(5, events / 1_000))
  let before = Number.POSITIVE_INFINITY
  let deadline = performance.now() + PATIENCE
  const goesOn = async () => {
    stage.crew.check()
    if (performance.now() < deadline) return sleep(pause)
    const left = await unsettled(stage, side)
    if (left >= before) throw new Error(`${left} changes of the ${side} are not settled, and nothing moves.`)
    before = left
    deadline = performance.now() + PATIENCE
  }
  for (let id = Math.max(1, last - SAMPLE + 1); id <= last;)
    if (await isOpen(stage, side, id)) await goesOn()
    else id++
  for (;;) {
    const at = performance.now()
    if ((await unsettled(stage, side)) === 0) return at
    await goesOn()
  }
}

/** Neither Synced nor Failed. */
async function isOpen({ clinic, portal }: Stage, side: Side, id: number): Promise<boolean> {
  const rows =
    side === 'portal'
      ? (await portal.query<{ s: string }>('SELECT status AS s FROM sync.queue WHERE queue_id = $1', [id])).rows
      : (await clinic.request().query<{ s: string }>(`SELECT Status AS s FROM dbo.SyncQueue WHERE QueueID = ${id}`))
          .recordset
  return rows[0]?.s === 'Pending' || rows[0]?.s === 'Queued'
}

/**
 * Waits until nothing is under way, an edit's echo included, and removes what is settled from both outboxes, as purging does after the retention time, and has Postgres tidy up: each measure finds
 * them as the one before did.
 *
 * @throws Error if there are changes that failed.
 */
export async function purge(stage: Stage): Promise<void> {
  const { clinic, portal } = stage
  for (const side of ['portal', 'clinic'] as const) await untilSettled(stage, side, 0)
  await clinic.request().query("DELETE FROM dbo.SyncQueue WHERE Status = N'Synced'")
  await portal.query("DELETE FROM sync.queue WHERE status = 'Synced'")
  await portal.query('VACUUM (ANALYZE)')
  for (const side of ['clinic', 'portal'] as const) {
    const left = await rowsAfter(stage, side, 0)
    if (left > 0) throw new Error(`${left} changes of the ${side} are left over: pending, queued or failed.`)
  }
}

async function first(
  asked: Promise<
    { readonly rows: readonly { n: string }[] } | { readonly recordset: readonly { n: string | number }[] }
  >,
): Promise<number> {
  const answer = await asked
  return Number(('rows' in answer ? answer.rows : answer.recordset)[0]?.n)
}
