export { portalAddress, type PortalAddress } from './address.ts'
export {
  type ColumnFacts,
  inspectPortal,
  type InspectPortalOptions,
  inspectPortalVersions,
  type OutboxFacts,
  type PgNetFacts,
  type PortalFacts,
  type ServerFacts,
  type SettingsFacts,
  type TableFacts,
  type TriggerFacts,
} from './inspect.ts'
export { openPortal, type Portal, type PortalOptions } from './open.ts'
export type { Log } from './pool.ts'
export type { KeptRow, Restorable, SentRow } from './restoring.ts'
export { isTransactionMode } from './transaction-mode.ts'
export { leadsToIngress, WEBHOOK_ROUTE, type WebhookTrigger } from './webhook-trigger.ts'
