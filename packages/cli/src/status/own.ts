import { inspectBroker } from '@clinic-sync/broker'
import { openClinic } from '@clinic-sync/clinic'
import type { SyncStatus } from '@clinic-sync/contracts'
import { gatherStatus, openDeadLetterLook } from '@clinic-sync/operations'
import { openPortal } from '@clinic-sync/portal'
import { createLogger, type Environment, readSettings } from '@clinic-sync/runtime'
import type { SyncError } from '@clinic-sync/sync'

/** A status without the ingress: asks both databases and RabbitMQ itself. @param why the ingress could not be asked */
export async function gatherOwn(environment: Environment, why: SyncError): Promise<SyncStatus> {
  const settings = readSettings(['SQLSERVER_URL', 'POSTGRES_URL', 'RABBITMQ_URL', 'CLINIC_TIME_ZONE'], environment)
  const log = createLogger({ name: 'status', level: 'silent' })
  const clinic = await openClinic({ url: settings.SQLSERVER_URL, timeZone: settings.CLINIC_TIME_ZONE, log })
  const portal = await openPortal({ url: settings.POSTGRES_URL, log })
  const url = settings.RABBITMQ_URL
  try {
    return await gatherStatus({
      clinic,
      portal,
      async queueDepths() {
        const { queues } = await inspectBroker({ url })
        return queues.flatMap(({ name, state, messages, consumers }) =>
          state === 'missing' ? [] : [{ queue: name, messages, consumers }],
        )
      },
      deadLetters: openDeadLetterLook(url),
      ingress: () => Promise.reject(why),
      verification: async () => ({ reachable: true, last: await portal.lastVerification(), running: null }),
    })
  } finally {
    await Promise.all([clinic.close(), portal.close()])
  }
}
