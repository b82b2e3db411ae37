import type { SyncStatus } from '@clinic-sync/contracts'
import { gatherStatus } from '@clinic-sync/operations'
import type { Environment } from '@clinic-sync/runtime'
import type { SyncError } from '@clinic-sync/sync'
import { openOwnLook } from '../own-look.ts'

/** A status without the ingress: asks both databases and RabbitMQ itself. @param why the ingress could not be asked */
export async function gatherOwn(environment: Environment, why: SyncError): Promise<SyncStatus> {
  const own = await openOwnLook(environment, 'status')
  try {
    return await gatherStatus({
      ...own,
      ingress: () => Promise.reject(why),
      verification: async () => ({ reachable: true, last: await own.portal.lastVerification(), running: null }),
    })
  } finally {
    await own.close()
  }
}
