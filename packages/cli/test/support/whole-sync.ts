import { type Broker, connectBroker } from '@clinic-sync/broker'
import { type Clinic, openClinic, openScriptConnection } from '@clinic-sync/clinic'
import type { Direction } from '@clinic-sync/contracts'
import { testClinic, testPostgres, testVhost } from '@clinic-sync/dev-services/testing'
import { serve, type Served, type ServeOptions } from '@clinic-sync/ingress'
import { openPortal, type Portal } from '@clinic-sync/portal'
import { start as startPostgresToSql } from '@clinic-sync/postgres-to-sql'
import { createLogger, observeDatabase, type Running } from '@clinic-sync/runtime'
import { start as startSqlToPostgres } from '@clinic-sync/sql-to-postgres'
import pg from 'pg'
import type { Test } from 'tap'
import { migrate } from '../../src/migrate/index.ts'

export const TOKEN = 'operator-token-0123456789'
const STARTS = { 'sql-to-postgres': startSqlToPostgres, 'postgres-to-sql': startPostgresToSql }
const BOTH = ['sql-to-postgres', 'postgres-to-sql'] as const

export interface Parts {
  readonly clinic: Clinic
  readonly portal: Portal
  readonly broker: Broker
}

export interface IngressTweaks {
  readonly name?: string
  /** RabbitMQ as this ingress alone reaches it. */
  readonly rabbitmqUrl?: string
  readonly observer?: ServeOptions['observer']
  /** What else it is given, or has in another way. */
  readonly more?: (parts: Parts) => Partial<ServeOptions>
}

export type World = Awaited<ReturnType<typeof world>>

/**
 * The whole sync in this process, with nothing of it started yet: both databases, RabbitMQ, and hands to edit.
 *
 * Services have the settings that `environment` holds when they start. They are ended before anything that the test opened
 * before the first of them, such as a gate.
 *
 * @param options `original`: the clinic is as the original system left it, the portal is empty, and neither is migrated.
 */
export async function world(t: Test, { original = false } = {}) {
  const [simulator, postgres, vhost] = await Promise.all([
    testClinic(t, { migrated: !original, original }),
    testPostgres(t),
    testVhost(t),
  ])
  if (!original) await migrate({ side: 'portal', url: postgres.url, withPortalTables: true })
  const environment = {
    SQLSERVER_URL: simulator.serviceUrl,
    POSTGRES_URL: postgres.url,
    RABBITMQ_URL: vhost.url,
    CLINIC_TIME_ZONE: 'Asia/Baghdad',
    CLINIC_DOORBELL: 'service-broker' as ServeOptions['clinicDoorbell'],
    PORTAL_DOORBELL: 'listen' as ServeOptions['portalDoorbell'],
    SYNC_WEBHOOK_SECRET: 'webhook-secret-0123456789',
    SYNC_OPERATOR_TOKEN: TOKEN,
    HEALTH_PORT: '0',
    /** Nobody is there, until an ingress has started. */
    INGRESS_URL: 'http://127.0.0.1:9',
  }
  const log = createLogger({ name: 'test', level: process.env['LOUD'] ? 'debug' : 'silent' })
  const portalSession = async (t: Test) => {
    const client = new pg.Client(postgres.url)
    client.on('error', () => undefined)
    await client.connect()
    t.teardown(() => client.end())
    return client
  }
  const onPortal = await portalSession(t)
  const onClinic = openScriptConnection(simulator.url)
  t.teardown(() => onClinic.close())

  const stop = new AbortController()
  const consumers = new Map<Direction, Running>()
  const ingresses = new Set<Running>()
  const endConsumers = async (...which: Direction[]) => {
    const ending = (which.length === 0 ? BOTH : which).map((direction) => {
      const consumer = consumers.get(direction)
      consumers.delete(direction)
      return consumer?.close()
    })
    await Promise.all(ending)
  }
  let started = false
  const starting = () => {
    if (started) return
    started = true
    t.teardown(async () => {
      stop.abort()
      await endConsumers()
      await Promise.all([...ingresses].map((each) => each.close()))
    })
  }

  return {
    environment,
    simulator,
    vhost,
    clinicSql: (text: string) => onClinic.batch(text),
    /** As the owner. */
    portalSql: async (text: string) => (await onPortal.query<Record<string, unknown>>(text)).rows,
    /** Another session of the portal's owner, until the end of that test. */
    portalSession,
    async startIngress({ name = 'ingress', rabbitmqUrl, observer, more }: IngressTweaks = {}): Promise<Served & Parts> {
      starting()
      const { SQLSERVER_URL, POSTGRES_URL, RABBITMQ_URL, CLINIC_TIME_ZONE: timeZone } = environment
      const clinic = observeDatabase('clinic', await openClinic({ url: SQLSERVER_URL, timeZone, log }), observer)
      const portal = observeDatabase('portal', await openPortal({ url: POSTGRES_URL, log }), observer)
      const url = rabbitmqUrl ?? RABBITMQ_URL
      const broker = await connectBroker({ url, log, name, ...(observer && { observer }) })
      const keeper = broker.keepDeadLetters()
      const served = await serve({
        clinic,
        portal,
        broker,
        log,
        observer,
        onFatal: (error) => t.fail('the ingress ended', { error }),
        clinicDoorbell: environment.CLINIC_DOORBELL,
        portalDoorbell: environment.PORTAL_DOORBELL,
        host: '127.0.0.1',
        port: 0,
        webhookSecret: environment.SYNC_WEBHOOK_SECRET,
        webhookKeys: [],
        operatorToken: environment.SYNC_OPERATOR_TOKEN,
        status: { clinic, portal, broker, rabbitmqUrl: RABBITMQ_URL },
        ...more?.({ clinic, portal, broker }),
      })
      environment.INGRESS_URL = served.url
      const close = async () => {
        if (!ingresses.delete(ingress)) return
        await served.close()
        await keeper.close()
        await broker.close()
        await Promise.all([clinic.close(), portal.close()])
      }
      const ingress = { ...served, clinic, portal, broker, close }
      ingresses.add(ingress)
      return ingress
    },
    /** Both, unless one is named. */
    async startConsumers(...which: Direction[]) {
      starting()
      const fail = (error: unknown) => t.fail('it ended', { error })
      const context = { environment, log, signal: stop.signal, fail }
      const start = async (direction: Direction) => consumers.set(direction, await STARTS[direction](context))
      await Promise.all((which.length === 0 ? BOTH : which).map(start))
    },
    endConsumers,
  }
}

/** What a command writes. */
export function paper() {
  const texts: string[] = []
  const out = {
    write(text: string, done?: unknown) {
      texts.push(text)
      if (typeof done === 'function') done()
      return true
    },
  }
  return { out, text: () => texts.join('') }
}

export const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

export async function until(what: string, condition: () => boolean | Promise<boolean>, ms = 30_000): Promise<void> {
  const deadline = Date.now() + ms
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not within ${ms / 1000} s: ${what}`)
    await pause(10)
  }
}
