export { findBrowser, startBrowser, type FoundBrowser } from './browser.ts'
export { startDevServices, type DevServices, type DevServicesOptions } from './dev-services.ts'
export { parseDevServicesFlags, type DevServicesFlags } from './flags.ts'
export { startPostgres, type PostgresOptions } from './postgres.ts'
export { createVhost, deleteVhost, managementCall } from './rabbit-management.ts'
export { startRabbit } from './rabbit.ts'
export {
  NoServiceError,
  type BrowserService,
  type DevService,
  type RabbitService,
  type ServiceName,
  type ServiceOptions,
  type Way,
} from './service.ts'
export { startSqlServer, type SqlServerOptions } from './sql-server.ts'
