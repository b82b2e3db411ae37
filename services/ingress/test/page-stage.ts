import { randomBytes } from 'node:crypto'
import {
  BROKER_USERS,
  type BrokerUser,
  type Broker,
  connectBroker,
  rabbitmqDefinitions,
  startEventConsumer,
} from '@clinic-sync/broker'
import { migrate } from '@clinic-sync/cli'
import { openClinic, openScriptConnection } from '@clinic-sync/clinic'
import { managementCall } from '@clinic-sync/dev-services'
import { testClinic, testPostgres, testRabbitServer } from '@clinic-sync/dev-services/testing'
import { openPortal } from '@clinic-sync/portal'
import pg from 'pg'
import type { Test } from 'tap'
import { migrationsOf } from '../src/page/versions.ts'
import { keepDeadLetters } from '../src/dead-letters.ts'
import { serve, type ServeOptions } from '../src/serve.ts'
import { recordingLog, until } from './help.ts'

export const TOKEN = 'operator-token-of-the-stage-0123456789'

/**
 * The whole of it for real, but for SQL Server: an ingress with the login at RabbitMQ that it has in an installation, both consumers,
 * and both databases. Its own RabbitMQ, since users are the server's.
 */
export async function pageStage(t: Test, more: Partial<ServeOptions> = {}) {
  const [rabbit, postgres, simulator] = await Promise.all([testRabbitServer(t), testPostgres(t), testClinic(t)])
  await migrate({ side: 'portal', url: postgres.url, withPortalTables: true, onLine: () => undefined })
  const passwords = Object.fromEntries(BROKER_USERS.map((user) => [user, randomBytes(9).toString('hex')])) as Record<
    BrokerUser,
    string
  >
  const prepare = async () => {
    await managementCall(rabbit.managementUrl ?? '', 'POST', 'definitions', rabbitmqDefinitions({ passwords }))
  }
  await prepare()
  const urlOf = (user: BrokerUser) =>
    Object.assign(new URL(rabbit.url), { username: user, password: passwords[user] }).href
  const { log, lines, texts } = recordingLog()
  const clinic = await openClinic({ url: simulator.serviceUrl, timeZone: 'Asia/Baghdad', log })
  const portal = await openPortal({ url: postgres.url, log })
  const staff = openScriptConnection(simulator.url)
  const admin = new pg.Client(postgres.url)
  admin.on('error', () => undefined)
  await admin.connect()
  const brokers: Broker[] = []
  const connected = async (user: BrokerUser) => {
    const broker = await connectBroker({ url: urlOf(user), log, name: user })
    brokers.push(broker)
    return broker
  }
  const broker = await connected('ingress')
  const consumers = {
    'sql-to-postgres': startEventConsumer({
      broker: await connected('sql-to-postgres'),
      direction: 'sql-to-postgres',
      target: portal,
      log,
    }),
    'postgres-to-sql': startEventConsumer({
      broker: await connected('postgres-to-sql'),
      direction: 'postgres-to-sql',
      target: clinic,
      log,
    }),
  }
  const rabbitmqUrl = urlOf('ingress')
  const options: ServeOptions = {
    clinic,
    portal,
    broker,
    log,
    onFatal: (error) => lines.push({ level: 60, msg: error.message }),
    clinicDoorbell: 'none',
    portalDoorbell: 'none',
    host: '127.0.0.1',
    port: 0,
    webhookSecret: 'webhook-secret-of-the-stage-0123456789',
    webhookKeys: [],
    operatorToken: TOKEN,
    status: { clinic, portal, broker, rabbitmqUrl },
    page: {
      databases: { clinic, portal },
      rabbitmqUrl,
      waitMs: 3_000,
      patienceMs: 4_000,
      migrations: { clinic: async () => migrationsOf(await clinic.inspect()), portal: () => portal.migrations() },
      rabbitmqVersion: () => broker.serverVersion(),
    },
    ...more,
  }
  const served = await serve(options)
  keepDeadLetters(broker, { clinic, portal })
  t.teardown(async () => {
    await served.close()
    await Promise.all(brokers.map((each) => each.close()))
    await Promise.all([clinic.close(), portal.close(), staff.close(), admin.end()])
  })
  await until('it is ready', () => served.ingress.state.read().ready)

  async function ask<T = unknown>(path: string, body?: object, signal?: AbortSignal) {
    const response = await fetch(`${served.url}/api/sync${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    })
    const text = await response.text()
    return {
      status: response.status,
      text,
      body: (text === '' ? null : JSON.parse(text)) as T,
      headers: response.headers,
    }
  }
  /** Drains the clinic, and resolves when each of its changes has arrived, or failed. */
  async function settled(): Promise<void> {
    await ask('/trigger', { direction: 'sql-to-postgres' })
    await until('the clinic has settled', async () =>
      (await staff.batch('SELECT Status FROM dbo.SyncQueue')).every(({ Status }) =>
        /Synced|Failed/.test(String(Status)),
      ),
    )
  }
  return {
    url: served.url,
    served,
    options,
    ask,
    settled,
    log,
    lines,
    texts,
    rabbit,
    prepare,
    urlOf,
    simulator,
    postgres,
    staff,
    admin,
    clinic,
    portal,
    broker,
    consumers,
  }
}
