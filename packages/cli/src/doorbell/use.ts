import type { ScriptConnection } from '@clinic-sync/clinic'
import { DatabaseError, SyncError } from '@clinic-sync/sync'
import sql from 'mssql'
import { ingressAddress } from '../ingress-address.ts'
import { type ClinicDoorbell, inDatabase } from '../migrate/choose.ts'

/** What the database's own doorbells need to know. */
export interface DoorbellChoice {
  /** CLINIC_DOORBELL */
  readonly doorbell: ClinicDoorbell
  /** Where the ingress is, for those that call it by HTTP: DOORBELL_URL or INGRESS_URL, and SYNC_WEBHOOK_SECRET. */
  readonly ingressUrl: string
  readonly secret: string
}

const PERMISSION_DENIED = '229'
const BUSY = '51222'

/** Those that call the ingress by HTTP, and have to be told where it is. */
export const callsByHttp = (doorbell: ClinicDoorbell) => doorbell === 'ole-automation' || doorbell === 'rest-endpoint'

/** Where a doorbell rings the ingress. */
export const notifyUrl = (ingressUrl: string) => ingressAddress(ingressUrl, '/api/sync/queue-notify')

/**
 * Refuses what can be known not to work, before anything is done.
 *
 * @throws SyncError SYNC_CONFIG
 */
export function checkChoice({ doorbell, ingressUrl }: DoorbellChoice): void {
  if (doorbell === 'rest-endpoint' && !/^https:\/\//i.test(ingressUrl))
    throw new SyncError(
      'SYNC_CONFIG',
      'The doorbell rest-endpoint calls https:// addresses only, and DOORBELL_URL (or INGRESS_URL) begins with http://: give the address of a proxy with TLS in front of the ingress.',
    )
}

/**
 * Makes the database ring as the choice says, and nothing else ring: with `http` and `none` nothing in it does.
 *
 * @param connection with a login that may alter dbo.SyncQueue.
 * @throws SyncError, in words for the operator: SYNC_CONFIG; SYNC_NO_DOORBELL where the database lacks what it takes, with the
 *   statement that cures it; SYNC_NOT_MIGRATED; DatabaseError.
 */
export async function useDoorbell(connection: ScriptConnection, choice: DoorbellChoice): Promise<void> {
  checkChoice(choice)
  const { doorbell, ingressUrl, secret } = choice
  const tells = callsByHttp(doorbell)
  try {
    await connection.execute('sync.UseDoorbell', {
      Doorbell: [sql.NVarChar(20), inDatabase(doorbell)],
      URL: [sql.NVarChar(1000), tells ? notifyUrl(ingressUrl) : null],
      Secret: [sql.NVarChar(1000), tells ? secret : null],
    })
  } catch (error) {
    throw inWords(error)
  }
}

function inWords(error: unknown): unknown {
  if (!(error instanceof DatabaseError)) return error
  if (error.number === PERMISSION_DENIED)
    return new SyncError(
      'SYNC_CONFIG',
      'This login may not switch the doorbell: it takes one that owns the clinic’s database (db_owner). Name it in SQLSERVER_ADMIN_URL.',
      { cause: error },
    )
  if (error.number === BUSY)
    return new DatabaseError(
      'transient',
      'Somebody’s open transaction holds the outbox; nothing is changed. Run it again when that has ended.',
      { number: error.number, cause: error },
    )
  return error
}
