import { startBrowser } from './browser.ts'
import { startPostgres, type PostgresOptions } from './postgres.ts'
import { startRabbit } from './rabbit.ts'
import type { BrowserService, DevService, RabbitService, ServiceName, SqlServerService } from './service.ts'
import { startSqlServer, type SqlServerOptions } from './sql-server.ts'

type Started = { postgres: DevService; rabbit: RabbitService; sqlserver: SqlServerService; browser: BrowserService }

/** The services that were asked for, by name. */
export type DevServices<N extends ServiceName> = Pick<Started, N> & {
  /** Ends all that was started. */
  stop(): Promise<void>
}

export type DevServicesOptions<N extends ServiceName> = PostgresOptions & SqlServerOptions & { need: readonly N[] }

/**
 * Finds or starts several services at once and says in one line each what was taken. If one cannot be had, those
 * already started are ended.
 *
 * @throws NoServiceError of the first that cannot be had.
 */
export async function startDevServices<N extends ServiceName>(options: DevServicesOptions<N>): Promise<DevServices<N>> {
  const starters = { postgres: startPostgres, rabbit: startRabbit, sqlserver: startSqlServer, browser: startBrowser }
  const needed = [...new Set<ServiceName>(options.need)]
  const results = await Promise.allSettled(
    needed.map(async (name) => {
      const service = await starters[name](options)
      options.say?.(service.how)
      return [name, service] as const
    }),
  )
  const started = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  const stop = async (): Promise<void> => {
    await Promise.all(started.map(([, service]) => service.stop()))
  }
  const failed = results.find((result) => result.status === 'rejected')
  if (failed) {
    await stop()
    throw failed.reason
  }
  return { ...(Object.fromEntries(started) as Pick<Started, N>), stop }
}
