import type { WebhookKey } from '@clinic-sync/contracts'

/** Which doorbell rings for the clinic: see README.md. */
export type ClinicDoorbell = 'service-broker' | 'ole-automation' | 'rest-endpoint' | 'http' | 'none'
/** Which doorbell rings for the portal. */
export type PortalDoorbell = 'listen' | 'webhook' | 'none'

/** What is set of the doorbells. */
export interface Doorbells {
  readonly clinicDoorbell: ClinicDoorbell
  readonly portalDoorbell: PortalDoorbell
  readonly webhookKeys: readonly WebhookKey[]
}

const NONE = 'no doorbell is set up; a start, a reconnection or POST /api/sync/trigger starts a drain'

/** Before the commit: what is open is waited for. */
const ON_CHANGES = 'SQL Server rings with POST /api/sync/queue-notify on data changes'
const AT_END = 'and the end of open transactions is waited for'

const CLINIC: Readonly<Record<ClinicDoorbell, string>> = {
  'service-broker':
    'SQL Server rings through Service Broker at every commit; POST /api/sync/queue-notify is answered as well',
  'ole-automation': `${ON_CHANGES}, through OLE Automation, ${AT_END}`,
  'rest-endpoint': `${ON_CHANGES}, through its REST endpoint call, ${AT_END}`,
  http: `${ON_CHANGES}, through a caller of your own, ${AT_END}`,
  none: NONE,
}

const PORTAL: Readonly<Record<PortalDoorbell, string>> = {
  listen: 'Postgres rings through NOTIFY when a doctor’s edit is committed; POST /api/sync/webhook is answered as well',
  webhook: 'Supabase webhooks ring with POST /api/sync/webhook on doctor edits',
  none: NONE,
}

const PROOFS = ['the secret', 'the secret or a signature', 'the secret or a signature of either of two keys']

/** What the operator reads at the start: which doorbells are in force on each side, and that nothing polls. */
export function startLines({ clinicDoorbell, portalDoorbell, webhookKeys }: Doorbells): readonly string[] {
  const proof = portalDoorbell === 'none' ? '' : `, with ${PROOFS[webhookKeys.length]}`
  return [
    `Webhook-based sync enabled (SQL Server → Supabase): ${CLINIC[clinicDoorbell]}`,
    `Reverse sync (Supabase → SQL Server): ${PORTAL[portalDoorbell]}${proof}`,
    'Nothing polls: both outboxes are drained now, at every doorbell and at every reconnection',
  ]
}
