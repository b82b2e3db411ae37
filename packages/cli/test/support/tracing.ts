import { browseDeadLetters, connectBroker } from '@clinic-sync/broker'
import { type Clinic, openClinic, openScriptConnection } from '@clinic-sync/clinic'
import { testClinic, testPostgres, testVhost } from '@clinic-sync/dev-services/testing'
import { serve } from '@clinic-sync/ingress'
import type { TraceResult } from '@clinic-sync/operations'
import { openPortal } from '@clinic-sync/portal'
import { start as startPostgresToSql } from '@clinic-sync/postgres-to-sql'
import { createLogger, type Environment } from '@clinic-sync/runtime'
import { start as startSqlToPostgres } from '@clinic-sync/sql-to-postgres'
import { SERVICE_LOGIN, SERVICE_PASSWORD, type Simulator } from '@clinic-sync/sqlserver-simulator'
import pg from 'pg'
import type { Test } from 'tap'
import { migrate } from '../../src/migrate/index.ts'
import { traceCommand } from '../../src/trace/command.ts'

const TOKEN = 'operator-token-0123456789'

interface Closable {
  close(): Promise<unknown>
}
type Part = 'ingress' | 'sql-to-postgres' | 'postgres-to-sql'

export interface IngressTweaks {
  /** RabbitMQ as the ingress alone reaches it. */
  readonly rabbitmqUrl?: string
  /** The clinic as the ingress alone has it. */
  readonly clinic?: (clinic: Clinic) => Clinic
}

/** The whole sync in this process, each service to be started and ended by itself, and the command. */
export interface World {
  readonly environment: Environment
  readonly simulator: Simulator
  readonly rabbitmqUrl: string
  clinicSql(text: string): Promise<readonly Record<string, unknown>[]>
  /** As the owner. */
  portalSql(text: string): Promise<readonly Record<string, unknown>[]>
  /** Another session of the portal's owner. */
  portalSession(): Promise<pg.Client>
  startIngress(tweaks?: IngressTweaks): Promise<void>
  start(part: Exclude<Part, 'ingress'>): Promise<void>
  startAll(): Promise<void>
  end(part: Part): Promise<void>
  /** Runs the command with `--json`. */
  trace(seconds?: number, more?: Environment): Promise<TraceResult & { readonly code: number }>
  /** Runs the command for people. */
  say(seconds?: number): Promise<string>
  /** Waits until nothing of either outbox is on its way, or has failed, and no dead letter is there. */
  clean(t: Test): Promise<void>
}

export async function tracing(t: Test): Promise<World> {
  const [simulator, postgres, vhost] = await Promise.all([testClinic(t), testPostgres(t), testVhost(t)])
  await migrate({ side: 'portal', url: postgres.url, withPortalTables: true })
  const login = Object.assign(new URL(simulator.url), { username: SERVICE_LOGIN, password: SERVICE_PASSWORD })
  const environment: Record<string, string> = {
    SQLSERVER_URL: login.href,
    POSTGRES_URL: postgres.url,
    RABBITMQ_URL: vhost.url,
    CLINIC_TIME_ZONE: 'Asia/Baghdad',
    SYNC_OPERATOR_TOKEN: TOKEN,
    HEALTH_PORT: '0',
    INGRESS_URL: 'http://127.0.0.1:9',
  }
  const log = createLogger({ name: 'test', level: 'silent' })
  const running = new Map<Part, Closable[]>()
  const onPortal = new pg.Client(postgres.url)
  onPortal.on('error', () => undefined)
  await onPortal.connect()
  const onClinic = openScriptConnection(simulator.url)
  const sessions: pg.Client[] = []
  const stop = new AbortController()
  const end = async (part: Part) => {
    const parts = running.get(part) ?? []
    running.delete(part)
    for (const each of parts) await each.close()
  }
  t.teardown(async () => {
    stop.abort()
    for (const part of ['ingress', 'sql-to-postgres', 'postgres-to-sql'] as const) await end(part)
    await Promise.all([onPortal.end(), onClinic.close(), ...sessions.map((each) => each.end())])
  })
  // Queues are there before any service: what is published with nobody to take it must not be lost.
  const declared = await connectBroker({ url: vhost.url, log, name: 'test' })
  await declared.close()

  const world: World = {
    environment,
    simulator,
    rabbitmqUrl: vhost.url,
    clinicSql: (text) => onClinic.batch(text),
    portalSql: async (text) => (await onPortal.query<Record<string, unknown>>(text)).rows,
    async portalSession() {
      const client = new pg.Client(postgres.url)
      client.on('error', () => undefined)
      await client.connect()
      sessions.push(client)
      return client
    },
    async startIngress({ rabbitmqUrl = vhost.url, clinic: tweaked = (clinic: Clinic) => clinic } = {}) {
      const own = await openClinic({ url: login.href, timeZone: 'Asia/Baghdad', log })
      const clinic = tweaked(own)
      const portal = await openPortal({ url: postgres.url, log })
      const broker = await connectBroker({ url: rabbitmqUrl, log, name: 'ingress' })
      const keeper = broker.keepDeadLetters()
      const ingress = await serve({
        clinic,
        portal,
        broker,
        log,
        onFatal: (error) => t.fail('the ingress ended', { error }),
        clinicDoorbell: 'service-broker',
        portalDoorbell: 'listen',
        host: '127.0.0.1',
        port: 0,
        webhookSecret: 'webhook-secret-0123456789',
        webhookKeys: [],
        operatorToken: TOKEN,
        status: { clinic, portal, broker, rabbitmqUrl: vhost.url },
      })
      environment.INGRESS_URL = ingress.url
      running.set('ingress', [ingress, keeper, broker, own, portal])
      await until('the ingress leads and hears both doorbells', async () => (await fetch(`${ingress.url}/readyz`)).ok)
    },
    async start(part) {
      const context = { environment, log, signal: stop.signal, fail: (error: unknown) => t.fail('it ended', { error }) }
      running.set(part, [await (part === 'sql-to-postgres' ? startSqlToPostgres : startPostgresToSql)(context)])
    },
    async startAll() {
      await world.startIngress()
      await world.start('sql-to-postgres')
      await world.start('postgres-to-sql')
    },
    end,
    async trace(within = 3, more = {}) {
      const texts: string[] = []
      const out = writer(texts)
      const code = await traceCommand({ environment: { ...environment, ...more }, json: true, within, out })
      return { ...(JSON.parse(texts.join('')) as TraceResult), code }
    },
    async say(within = 3) {
      const texts: string[] = []
      await traceCommand({ environment, json: false, within, out: writer(texts) })
      return texts.join('')
    },
    async clean(t) {
      await until('both outboxes are settled', async () => {
        const open = await world.clinicSql("SELECT COUNT(*) AS n FROM dbo.SyncQueue WHERE Status <> 'Synced'")
        const [theirs] = await world.portalSql("SELECT count(*)::int AS n FROM sync.queue WHERE status <> 'Synced'")
        return open[0]?.n === 0 && theirs?.n === 0
      })
      t.strictSame(await letters(vhost.url), [], 'no dead letter is left')
      t.strictSame(await world.portalSql('SELECT * FROM sync.lost_edits'), [])
      t.strictSame(await world.clinicSql('SELECT * FROM sync.Conflicts'), [])
    },
  }
  return world
}

const writer = (texts: string[]) => ({
  write(text: string, done?: () => void) {
    texts.push(text)
    done?.()
    return true
  },
})

async function letters(url: string): Promise<string[]> {
  return (await browseDeadLetters({ url })).map(({ about, errorCode }) => `${about?.table} ${errorCode}`)
}

/** For 30 s at most. */
export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 30_000
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not within 30 s: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** A fault, induced and repaired: then the round is whole, and nothing of the trace that met it is left. */
export const faultsOf =
  (t: Test, world: World) =>
  (name: string, meet: (t: Test) => Promise<void>): Promise<unknown> =>
    t.test(name, async (t) => {
      await meet(t)
      await until('the round is whole again', async () => (await world.trace()).ok)
      await world.clean(t)
    })

/** `leg hop kind` of each. */
export const kinds = ({ faults }: TraceResult): string[] =>
  faults.map(({ leg, hop, kind }) => `${leg ?? '-'} ${hop ?? '-'} ${kind}`)
/** `leg hop` of each that came. */
export const came = ({ hops }: TraceResult): string[] => hops.map(({ leg, hop }) => `${leg} ${hop}`)
/** Hops of a whole round. */
export const ALL = 11
