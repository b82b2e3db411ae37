import type { Broker } from '@clinic-sync/broker'
import type { Minute, OutcomeBatch } from '@clinic-sync/contracts'
import type { Doorbell, Observer, OpenTransactions, Ringer, SyncError } from '@clinic-sync/sync'
import type { FastifyBaseLogger } from 'fastify'
import type { Outbox } from './empty-outbox.ts'
import type { Sides } from './restored.ts'
import type { ClinicDoorbell, PortalDoorbell } from './start-lines.ts'

export interface IngressOptions {
  readonly clinic: Outbox & Doorbell & Ringer & OpenTransactions
  readonly portal: Outbox & Doorbell & Ringer
  readonly broker: Pick<Broker, 'publishEvents' | 'consumeOutcomes' | 'onReconnect' | 'state' | 'standForLead'>
  readonly clinicDoorbell: ClinicDoorbell
  readonly portalDoorbell: PortalDoorbell
  readonly log: FastifyBaseLogger
  readonly observer?: Observer | undefined
  /** A database is not migrated: the process should say so and end. */
  readonly onFatal: (error: SyncError) => void
  /** When to look once more after the start and after the last HTTP doorbell of the clinic, in milliseconds. */
  readonly secondLookMs?: number
  /** Told of outcomes that were settled here. */
  readonly onSettled?: (batches: readonly OutcomeBatch[]) => void
  /** Told of what another ingress has counted. */
  readonly onCounted?: (minutes: readonly Minute[]) => void
  /** Told that another ingress knows of a verification that was kept. */
  readonly onKept?: () => void
  /** Both sides' bookkeeping; missing: a restored database is not noticed. */
  readonly bookkeeping?: Sides
}
