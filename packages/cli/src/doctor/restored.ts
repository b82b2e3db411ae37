import { openClinic } from '@clinic-sync/clinic'
import type { Side } from '@clinic-sync/contracts'
import { openPortal } from '@clinic-sync/portal'
import { createLogger } from '@clinic-sync/runtime'
import { type Comparison, findRestored } from '@clinic-sync/sync'
import { bounded } from '@clinic-sync/operations'
import { type Check, checksOf } from './check.ts'

/**
 * Compares what both sides know of each other, as the ingress does: a database that was restored from a backup knows less than the other
 * has told it. Nothing where they cannot be compared: why that is, the other checks say.
 */
export async function restoredChecks(
  {
    SQLSERVER_URL,
    CLINIC_TIME_ZONE,
    POSTGRES_URL,
  }: Readonly<Record<'SQLSERVER_URL' | 'CLINIC_TIME_ZONE' | 'POSTGRES_URL', string>>,
  patienceMs: number,
): Promise<Check[]> {
  const compare = async () => {
    const log = createLogger({ name: 'doctor', level: 'silent' })
    const clinic = await openClinic({ url: SQLSERVER_URL, timeZone: CLINIC_TIME_ZONE, log })
    const portal = await openPortal({ url: POSTGRES_URL, log })
    try {
      return await findRestored({ clinic, portal })
    } finally {
      // Not waited for: a server that hangs would hang the caller too.
      Promise.all([clinic.close(), portal.close()]).catch(() => undefined)
    }
  }
  const found = await bounded('The comparison', compare, patienceMs)
  return 'error' in found ? [] : [restoredCheck('clinic', found.facts), restoredCheck('portal', found.facts)]
}

export function restoredCheck(side: Side, { restored, repairing, lastIds }: Comparison): Check {
  const { ok, fail } = checksOf(side)
  const title = `The ${side} is not older than what the other side has seen of it`
  const why = restored.find((each) => each.side === side)?.why
  const todo =
    'npm run sync -- after-restore, which shows what is unequal, asks, and repairs it; nothing is sent until then.'
  if (why !== undefined) return fail('restored', title, `it ${why}, as after a restored backup`, todo)
  if (repairing && restored.length === 0)
    return fail('restored', title, 'a repair of one of the databases was begun and has not ended', todo)
  return ok(
    'restored',
    title,
    lastIds[side] === null ? 'nothing is missing' : `queue id ${lastIds[side]}, nothing is missing`,
  )
}
