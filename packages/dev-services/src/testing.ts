/**
 * Services for tests: a database, a virtual host or a clinic of its own for each that asks, removed at its teardown.
 *
 * Under `npm test` the servers are started once for all files (`with-services.ts`) and found by their URLs; a test file
 * that is run alone starts its own, once, and they are gone when its process is.
 */
import { randomBytes } from 'node:crypto'
import type { Simulator } from '@clinic-sync/sqlserver-simulator'
import pg from 'pg'
import { startBrowser } from './browser.ts'
import { startPostgres, type PostgresOptions } from './postgres.ts'
import { createVhost, deleteVhost } from './rabbit-management.ts'
import { startRabbit } from './rabbit.ts'
import type { BrowserService, DevService, RabbitService, ServiceOptions } from './service.ts'

export { type Authority, type Identity, makeAuthority, makeSelfSigned } from './certificates.ts'
export { testReceiver } from './receiver.ts'
export { tdsWithTls } from './tds-tls.ts'
export { type Wire, wireTo } from './wire.ts'

/** The part of tap's test object that is used. */
export type Test = { teardown(finish: () => unknown): unknown }

let postgres: Promise<DevService> | undefined
let rabbit: Promise<RabbitService> | undefined

const unique = (): string => `t_${process.pid}_${randomBytes(5).toString('hex')}`

/**
 * A fresh, empty Postgres database; dropped at teardown, connections still open included.
 *
 * @returns its URL, as a superuser, and its name.
 */
export async function testPostgres(t: Test): Promise<{ url: string; name: string }> {
  postgres ??= startPostgres({ durable: false })
  const server = (await postgres).url
  const name = unique()
  await execute(server, `CREATE DATABASE ${name}`)
  t.teardown(() => execute(server, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`))
  const url = new URL(server)
  url.pathname = `/${name}`
  return { url: url.href, name }
}

/**
 * A fresh RabbitMQ virtual host; deleted at teardown with its queues and connections.
 *
 * @returns its AMQP URL, its name, and the management API's address.
 * @throws Error when RABBITMQ_URL names a server whose management API is not known (RABBITMQ_MANAGEMENT_URL).
 */
export async function testVhost(t: Test): Promise<{ url: string; name: string; managementUrl: string }> {
  rabbit ??= startRabbit()
  const { url: server, managementUrl } = await rabbit
  if (!managementUrl) throw new Error('tests make virtual hosts: set RABBITMQ_MANAGEMENT_URL beside RABBITMQ_URL')
  const name = unique()
  await createVhost(managementUrl, name)
  t.teardown(() => deleteVhost(managementUrl, name))
  const url = new URL(server)
  url.pathname = `/${name}`
  return { url: url.href, name, managementUrl }
}

/**
 * A RabbitMQ for this test alone, for tests that restart or end the server under its clients (3 s to start).
 *
 * @param options `tls`: it listens for encrypted connections as well, at `tlsUrl`.
 */
export async function testRabbitServer(
  t: Test,
  options: Pick<ServiceOptions, 'tls'> = {},
): Promise<RabbitService & Required<Pick<RabbitService, 'restart' | 'kill'>>> {
  const service = await startRabbit({ ...options, ways: ['private', 'package'] })
  t.teardown(() => service.stop())
  const { restart, kill } = service
  if (!restart || !kill) throw new Error('only a private RabbitMQ can be restarted')
  return { ...service, restart, kill }
}

/**
 * A Postgres for this test alone, for tests that restart the server under its clients (1 s to start).
 *
 * @param options `tls`: it takes encrypted connections as well, with this certificate.
 */
export async function testPostgresServer(
  t: Test,
  options: Pick<PostgresOptions, 'tls'> = {},
): Promise<DevService & Required<Pick<DevService, 'restart'>>> {
  const service = await startPostgres({ ...options, ways: ['embedded', 'private'] })
  t.teardown(() => service.stop())
  const { restart } = service
  if (!restart) throw new Error('only a private Postgres can be restarted')
  return { ...service, restart }
}

/**
 * A fresh simulated clinic in this process; ended at teardown. Never SQLSERVER_URL: that may be somebody's real clinic.
 *
 * @param options `migrated` (default true): the clinic's tables and the schema `sync` are in place. `original`, where they are not: the
 *   original system's outbox is.
 */
export async function testClinic(
  t: Test,
  options: { migrated?: boolean; original?: boolean } = {},
): Promise<Simulator> {
  // Loaded only when needed: most test files use no clinic.
  const { startSimulator } = await import('@clinic-sync/sqlserver-simulator')
  const simulator = await startSimulator({ migrated: options.migrated ?? true, original: options.original ?? false })
  t.teardown(() => simulator.stop())
  return simulator
}

/** A browser of this test's own, ended at teardown: its address is for playwright-core's `chromium.connectOverCDP`. */
export async function testBrowser(t: Test): Promise<BrowserService> {
  const service = await startBrowser()
  t.teardown(() => service.stop())
  return service
}

async function execute(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => undefined)
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}
