export { openPortal, type Portal, type PortalOptions } from './open.ts'
export type { Log } from './pool.ts'
