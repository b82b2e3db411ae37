import { connectBroker } from '@clinic-sync/broker'
import { openClinic, openScriptConnection } from '@clinic-sync/clinic'
import type { AlertMessage } from '@clinic-sync/contracts'
import { testClinic, testPostgres, testVhost, testReceiver } from '@clinic-sync/dev-services/testing'
import { observers, Senses, serve } from '@clinic-sync/ingress'
import { ALERT_RULES } from '@clinic-sync/operations'
import { openPortal } from '@clinic-sync/portal'
import { start as startPostgresToSql } from '@clinic-sync/postgres-to-sql'
import { createLogger, observeDatabase, type Running } from '@clinic-sync/runtime'
import { start as startSqlToPostgres } from '@clinic-sync/sql-to-postgres'
import { SERVICE_LOGIN, SERVICE_PASSWORD } from '@clinic-sync/sqlserver-simulator'
import pg from 'pg'
import type { Test } from 'tap'
import { migrate } from '../../src/migrate/index.ts'
import { gated } from './gate.ts'

export const TOKEN = 'operator-token-0123456789'

/** As the services' own times, 20 to 100 times as fast. On a busy machine RabbitMQ's word who leads, and a test's own outage, take seconds. */
const TIMING = { lookMs: 50, askMs: 150, doubtMs: 100, aloneMs: 6_000, standbyMs: 12_000 }
export const QUIET_MS = 500
/** Who connects again after a few seconds' outage does so within this. */
const SETTLE_MS = 8_000
const RULES = {
  ...ALERT_RULES,
  timing: (condition: string) => ({
    holdMs: condition === 'doorbell' ? SETTLE_MS : condition === 'restored' || condition === 'verification' ? 0 : 400,
    quietMs: condition === 'verification' ? 0 : QUIET_MS,
    settleMs: condition === 'stalled' ? SETTLE_MS : 0,
  }),
  gapMs: 1_000,
  flappingMs: 1,
}
const LIMITS = { waiting: 1, held: 5, unattended: 1, unsettled: 2 }

/** Both databases, RabbitMQ, and whoever takes alerts: what stands behind a gate can be shut off. */
export async function alertsWorld(t: Test) {
  const [simulator, postgres, vhost, receiver] = await Promise.all([
    testClinic(t),
    testPostgres(t),
    testVhost(t),
    testReceiver<AlertMessage>(t),
  ])
  await migrate({ side: 'portal', url: postgres.url, withPortalTables: true })
  const login = Object.assign(new URL(simulator.url), { username: SERVICE_LOGIN, password: SERVICE_PASSWORD })
  const gates = { portal: await gated(t, postgres.url), rabbit: await gated(t, vhost.url) }
  const log = createLogger({ name: 'test', level: process.env['LOUD'] ? 'debug' : 'silent' })
  const onPortal = new pg.Client(postgres.url)
  await onPortal.connect()
  const onClinic = openScriptConnection(simulator.url)
  const running = new Set<Running>()
  t.teardown(async () => {
    await Promise.all([...running].map((each) => each.close()))
    await Promise.all([onPortal.end(), onClinic.close()])
  })
  const own = (close: () => Promise<unknown>): Running => {
    const one = {
      close: async () => {
        running.delete(one)
        await close()
      },
    }
    running.add(one)
    return one
  }

  /** An ingress as main.ts makes it, all in this process. */
  async function startIngress({ rabbit = gates.rabbit.url, host = 'clinic-host', url = receiver.url } = {}) {
    const senses = new Senses()
    const observer = observers(undefined, senses.observer)
    const timeZone = 'Asia/Baghdad'
    const clinic = observeDatabase('clinic', await openClinic({ url: login.href, timeZone, log }), observer)
    const portal = observeDatabase('portal', await openPortal({ url: gates.portal.url, log }), observer)
    const broker = await connectBroker({ url: rabbit, log, name: host, observer })
    const served = await serve({
      clinic,
      portal,
      broker,
      log,
      observer,
      onFatal: (error) => t.fail('the ingress ended', { error }),
      clinicDoorbell: 'service-broker',
      portalDoorbell: 'listen',
      host: '127.0.0.1',
      port: 0,
      webhookSecret: 'webhook-secret-0123456789',
      webhookKeys: [],
      operatorToken: TOKEN,
      bookkeeping: { clinic, portal },
      status: { clinic, portal, broker, rabbitmqUrl: vhost.url },
      alerts: {
        url,
        rabbitmqUrl: rabbit,
        broker,
        outboxes: { clinic, portal },
        senses,
        sender: { version: '1.0.0', host },
        memory: broker.note,
        timing: TIMING,
        rules: RULES,
        limits: LIMITS,
        repeat: { min: 200, max: 400 },
        retry: { min: 50, max: 200 },
      },
    })
    const keeper = broker.keepDeadLetters()
    const one = own(async () => {
      await served.close()
      await keeper.close()
      await broker.close()
      await Promise.all([clinic.close(), portal.close()])
    })
    return { ...served, ...one }
  }

  async function startConsumers(which: 'both' | 'sql-to-postgres' = 'both') {
    const environment = {
      SQLSERVER_URL: login.href,
      POSTGRES_URL: gates.portal.url,
      RABBITMQ_URL: vhost.url,
      CLINIC_TIME_ZONE: 'Asia/Baghdad',
      HEALTH_PORT: '0',
    }
    const stop = new AbortController()
    const context = { environment, log, signal: stop.signal, fail: (error: unknown) => t.fail('it ended', { error }) }
    const starts = which === 'both' ? [startSqlToPostgres, startPostgresToSql] : [startSqlToPostgres]
    const consumers = await Promise.all(starts.map((start) => start(context as never)))
    return own(async () => {
      stop.abort()
      await Promise.all(consumers.map((each) => each.close()))
    })
  }

  return {
    simulator,
    receiver,
    gates,
    vhost,
    startIngress,
    startConsumers,
    environment: { SYNC_OPERATOR_TOKEN: TOKEN },
    clinicSql: (text: string) => onClinic.batch(text),
    portalSql: (text: string) => onPortal.query<Record<string, unknown>>(text),
    /** `stalled sql-to-postgres problem`, and so on, in order. */
    said: () =>
      receiver.got.map(({ condition, direction, state }) => [condition, direction, state].filter(Boolean).join(' ')),
  }
}

export const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

export async function until(what: string, condition: () => boolean | Promise<boolean>, ms = 25_000): Promise<void> {
  const deadline = Date.now() + ms
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not within ${ms / 1000} s: ${what}`)
    await pause(20)
  }
}
