export { type Migrated, type MigrateOptions, migrate } from './migrate/index.ts'
export { backfill, type BackfillOptions, type BackfillPorts, type BackfillResult } from './backfill/backfill.ts'
export { ringIngress } from './backfill/ring.ts'
export { type DoorbellChoice, useDoorbell } from './doorbell/use.ts'
