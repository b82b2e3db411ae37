/** Which doorbell rings for the clinic: see README.md. */
export type ClinicDoorbell = 'service-broker' | 'http' | 'none'
/** Which doorbell rings for the portal. */
export type PortalDoorbell = 'webhook' | 'none'

const CLINIC: Readonly<Record<ClinicDoorbell, string>> = {
  'service-broker':
    'SQL Server rings through Service Broker at every commit; POST /api/sync/queue-notify is answered as well',
  http: 'SQL Server rings with POST /api/sync/queue-notify on data changes',
  none: 'no doorbell is set up; a start, a reconnection or POST /api/sync/trigger starts a drain',
}

const PORTAL: Readonly<Record<PortalDoorbell, string>> = {
  webhook: 'POST /api/sync/webhook is answered; this version does not capture doctors’ edits yet',
  none: 'no doorbell is set up; a start, a reconnection or POST /api/sync/trigger starts a drain',
}

/** What the operator reads at the start: which doorbells are in force on each side, and that nothing polls. */
export function startLines(clinic: ClinicDoorbell, portal: PortalDoorbell): readonly string[] {
  return [
    `Webhook-based sync enabled (SQL Server → Supabase): ${CLINIC[clinic]}`,
    `Reverse sync (Supabase → SQL Server): ${PORTAL[portal]}`,
    'Nothing polls: both outboxes are drained now, at every doorbell and at every reconnection',
  ]
}
