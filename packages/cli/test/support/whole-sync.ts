import { connectBroker } from '@clinic-sync/broker'
import { openClinic, openScriptConnection } from '@clinic-sync/clinic'
import { testClinic, testPostgres, testVhost } from '@clinic-sync/dev-services/testing'
import { serve, type Served } from '@clinic-sync/ingress'
import { openPortal } from '@clinic-sync/portal'
import { start as startPostgresToSql } from '@clinic-sync/postgres-to-sql'
import { createLogger, type Running } from '@clinic-sync/runtime'
import { start as startSqlToPostgres } from '@clinic-sync/sql-to-postgres'
import { SERVICE_LOGIN, SERVICE_PASSWORD } from '@clinic-sync/sqlserver-simulator'
import pg from 'pg'
import type { Test } from 'tap'
import { migrate } from '../../src/migrate/index.ts'

export const TOKEN = 'operator-token-0123456789'

/**
 * The whole sync in this process, with nothing of it started yet: both databases, RabbitMQ, and hands to edit.
 *
 * @param own a RabbitMQ of the test's own, to be ended under the services
 */
export async function world(t: Test, own: { readonly url: string } | null = null) {
  const [simulator, postgres, vhost] = await Promise.all([testClinic(t), testPostgres(t), own ?? testVhost(t)])
  await migrate({ side: 'portal', url: postgres.url, withPortalTables: true })
  const login = Object.assign(new URL(simulator.url), { username: SERVICE_LOGIN, password: SERVICE_PASSWORD })
  const environment = {
    SQLSERVER_URL: login.href,
    SQLSERVER_ADMIN_URL: simulator.url,
    POSTGRES_URL: postgres.url,
    POSTGRES_ADMIN_URL: postgres.url,
    RABBITMQ_URL: vhost.url,
    CLINIC_TIME_ZONE: 'Asia/Baghdad',
    SYNC_OPERATOR_TOKEN: TOKEN,
    HEALTH_PORT: '0',
    INGRESS_URL: 'http://127.0.0.1:9',
  }
  const log = createLogger({ name: 'test', level: 'silent' })
  const clinic = await openClinic({ url: login.href, timeZone: environment.CLINIC_TIME_ZONE, log })
  const portal = await openPortal({ url: postgres.url, log })
  const broker = await connectBroker({ url: vhost.url, log, name: 'ingress' })
  const keeper = broker.keepDeadLetters()
  const stop = new AbortController()
  const consumers: Running[] = []
  const served: Served[] = []
  const onPortal = new pg.Client(postgres.url)
  await onPortal.connect()
  const onClinic = openScriptConnection(simulator.url)
  t.teardown(async () => {
    stop.abort()
    await Promise.all([...consumers, ...served].map((each) => each.close()))
    await keeper.close()
    await broker.close()
    await Promise.all([clinic.close(), portal.close(), onPortal.end(), onClinic.close()])
  })
  return {
    environment,
    simulator,
    clinicSql: (text: string) => onClinic.batch(text),
    portalSql: (text: string) => onPortal.query<Record<string, unknown>>(text),
    async startIngress(port = 0) {
      const ingress = await serve({
        clinic,
        portal,
        broker,
        log,
        onFatal: (error) => t.fail('the ingress ended', { error }),
        clinicDoorbell: 'service-broker',
        portalDoorbell: 'listen',
        host: '127.0.0.1',
        port,
        webhookSecret: 'webhook-secret-0123456789',
        webhookKeys: [],
        operatorToken: TOKEN,
        status: { clinic, portal, broker, rabbitmqUrl: vhost.url },
      })
      served.push(ingress)
      return ingress
    },
    /** @returns what stops them again */
    async startConsumers() {
      const context = { environment, log, signal: stop.signal, fail: (error: unknown) => t.fail('it ended', { error }) }
      const started = await Promise.all([startSqlToPostgres(context), startPostgresToSql(context)])
      consumers.push(...started)
      return async () => {
        for (const each of started) consumers.splice(consumers.indexOf(each), 1)
        await Promise.all(started.map((each) => each.close()))
      }
    },
  }
}

/** What a command writes. */
export function paper() {
  const texts: string[] = []
  return { texts, out: { write: (text: string) => texts.push(text) > 0 }, text: () => texts.join('') }
}

export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 30_000
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not within 30 s: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
