export { type Migration, runMigration } from './migrate.ts'
export { openPortal, type Portal, type PortalOptions } from './open.ts'
export type { Log } from './pool.ts'
