export {
  startConsumerService,
  type ConsumerServiceOptions,
  type ConsumerTarget,
  type ConsumerTestOptions,
} from './consumer-service.ts'
export { startHealth, type Health, type Ready } from './health.ts'
export { cannotListen } from './listening.ts'
export { createLogger, safeError, type Logger } from './logger.ts'
export { untilUp, type OutageOptions } from './outage.ts'
export { createMetrics, type Metrics, type MetricsOptions } from './metrics/metrics.ts'
export { observeDatabase } from './metrics/observe-database.ts'
export { OutboxAge } from './metrics/outbox-age.ts'
export { versionOfThis } from './version.ts'
export { readSettings, withEnvFile, type Environment } from './read-settings.ts'
export { RecentLines } from './recent-lines.ts'
export { spoken } from './spoken.ts'
export { NOT_UTF8, readTextFile } from './text-file.ts'
export { runService, type Running, type ServiceContext, type ServiceOptions } from './run-service.ts'
export { parseAddresses, parseProxies, SETTINGS, type Setting, type SettingName, type Settings } from './settings.ts'
