import { inspectBroker } from '@clinic-sync/broker'
import { type Clinic, openClinic } from '@clinic-sync/clinic'
import { openDeadLetterLook, type RecordPorts } from '@clinic-sync/operations'
import { openPortal, type Portal } from '@clinic-sync/portal'
import { createLogger, type Environment, readSettings } from '@clinic-sync/runtime'

/** What a command asks by itself, without the ingress. */
export interface OwnLook extends Pick<RecordPorts, 'queueDepths' | 'deadLetters'> {
  readonly clinic: Clinic
  readonly portal: Portal
  close(): Promise<unknown>
}

/** Both databases and RabbitMQ, with the services' logins; none of them need be there. @throws SyncError SYNC_CONFIG */
export async function openOwnLook(environment: Environment, name: string): Promise<OwnLook> {
  const settings = readSettings(['SQLSERVER_URL', 'POSTGRES_URL', 'RABBITMQ_URL', 'CLINIC_TIME_ZONE'], environment)
  const log = createLogger({ name, level: 'silent' })
  const clinic = await openClinic({ url: settings.SQLSERVER_URL, timeZone: settings.CLINIC_TIME_ZONE, log })
  const portal = await openPortal({ url: settings.POSTGRES_URL, log })
  const url = settings.RABBITMQ_URL
  return {
    clinic,
    portal,
    async queueDepths() {
      const { queues } = await inspectBroker({ url })
      return queues.flatMap(({ name, state, messages, consumers }) =>
        state === 'missing' ? [] : [{ queue: name, messages, consumers }],
      )
    },
    deadLetters: openDeadLetterLook(url),
    close: () => Promise.all([clinic.close(), portal.close()]),
  }
}
