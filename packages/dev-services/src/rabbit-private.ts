import { randomBytes } from 'node:crypto'
import { mkdir, readdir, realpath, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Guarded } from './guarded.ts'
import { find, until } from './machine.ts'
import { freePorts } from './ports.ts'
import { managementReady } from './rabbit-management.ts'
import type { RabbitService, ServiceOptions } from './service.ts'

export type InstalledRabbit = { server: string; epmd: string }

const START_MS = 60_000

/**
 * The RabbitMQ of this machine, or why there is none. Debian's /usr/sbin/rabbitmq-server is a wrapper that switches
 * to the user `rabbitmq` and refuses everybody but root, so the script behind it comes first.
 */
export async function installedRabbit(env: NodeJS.ProcessEnv): Promise<InstalledRabbit | string> {
  const server = await find('rabbitmq-server', ['/usr/lib/rabbitmq/bin', '/opt/rabbitmq/sbin'], env)
  if (!server) return 'no rabbitmq-server in PATH, /usr/lib/rabbitmq/bin or /usr/sbin'
  const erl = await find('erl', [], env)
  if (!erl) return `${server} is there, but no erl`
  // `erl` is <root>/bin/erl, and epmd is in <root>/erts-<version>/bin: not every packaging links it into PATH.
  const root = dirname(dirname(await realpath(erl)))
  const erts = (await readdir(root).catch((): string[] => [])).filter((name) => name.startsWith('erts-'))
  const epmd = await find(
    'epmd',
    erts.map((name) => join(root, name, 'bin')),
    env,
  )
  return epmd ? { server, epmd } : `${server} is there, but no epmd`
}

/**
 * Starts an instance of its own: node name, ports, data, configuration and log are in the private folder, and nothing of
 * the system's (/etc/rabbitmq, /var/lib/rabbitmq, the system's epmd) is read or touched.
 */
export async function startPrivateRabbit(installed: InstalledRabbit, options: ServiceOptions): Promise<RabbitService> {
  const guarded = await Guarded.open()
  try {
    return await startIn(guarded, installed, options)
  } catch (error) {
    await guarded.close()
    throw error
  }
}

async function startIn(
  guarded: Guarded,
  installed: InstalledRabbit,
  { env: outer = process.env, tls }: ServiceOptions,
): Promise<RabbitService> {
  const { folder } = guarded
  const [port = 0, distribution = 0, epmdPort = 0, management = 0, tlsPort = 0] = await freePorts(5)
  const encrypted = tls ? await writeIdentity(folder, tlsPort, tls) : []
  await writeConfiguration(folder, port, management, encrypted)
  const env = {
    PATH: outer.PATH ?? '/usr/bin:/bin',
    LANG: 'C.UTF-8',
    ...rabbitEnvironment(folder, distribution),
    // An epmd (Erlang's name service) of its own: no other instance is known there, and it can be ended without a
    // thought for others. Left to itself, Erlang starts a shared one that stays.
    ERL_EPMD_PORT: String(epmdPort),
    ERL_EPMD_ADDRESS: '127.0.0.1',
  }
  await guarded.start({
    command: installed.epmd,
    args: ['-port', String(epmdPort), '-address', '127.0.0.1'],
    env,
    log: 'epmd.log',
    stopSignal: 'SIGKILL',
    graceMs: 1_000,
  })
  const spec = {
    command: installed.server,
    args: [],
    env,
    log: 'rabbit.log',
    // Its own shutdown takes 3 s, to save data that is removed next.
    stopSignal: 'SIGKILL' as const,
    graceMs: 1_000,
  }
  const managementUrl = `http://guest:guest@127.0.0.1:${management}`
  let server = await guarded.start(spec)
  const answering = async (): Promise<string> => {
    try {
      return await until(START_MS, () => managementReady(managementUrl), server.exited)
    } catch (error) {
      throw new Error(`RabbitMQ did not start: ${guarded.tail(spec.log)}`, { cause: error })
    }
  }
  const version = await answering()
  const kill = async () => {
    await server.end()
    return async () => {
      server = await guarded.start(spec)
      await answering()
    }
  }
  return {
    url: `amqp://guest:guest@127.0.0.1:${port}`,
    managementUrl,
    ...(tls && { tlsUrl: `amqps://guest:guest@127.0.0.1:${tlsPort}` }),
    how: `RabbitMQ: private instance of ${installed.server} ${version} on port ${port}`,
    stop: () => guarded.close(),
    restart: async () => (await kill())(),
    kill,
  }
}

/** Certificate and key, and the settings that use them. A client's certificate is checked, by the same, if it shows one. */
async function writeIdentity(
  folder: string,
  port: number,
  { cert, key }: { readonly cert: string; readonly key: string },
): Promise<string[]> {
  await writeFile(join(folder, 'server.crt'), cert)
  await writeFile(join(folder, 'server.key'), key, { mode: 0o600 })
  return [
    `listeners.ssl.1 = 127.0.0.1:${port}`,
    `ssl_options.cacertfile = ${join(folder, 'server.crt')}`,
    `ssl_options.certfile = ${join(folder, 'server.crt')}`,
    `ssl_options.keyfile = ${join(folder, 'server.key')}`,
  ]
}

async function writeConfiguration(
  folder: string,
  port: number,
  management: number,
  encrypted: readonly string[],
): Promise<void> {
  await mkdir(join(folder, 'home'))
  await writeFile(join(folder, 'enabled_plugins'), '[rabbitmq_management].\n')
  // Sourced by the start script in place of /etc/rabbitmq/rabbitmq-env.conf.
  await writeFile(join(folder, 'rabbitmq-env.conf'), '')
  await writeFile(
    join(folder, 'rabbitmq.conf'),
    [
      `listeners.tcp.1 = 127.0.0.1:${port}`,
      ...encrypted,
      'management.tcp.ip = 127.0.0.1',
      `management.tcp.port = ${management}`,
      // The default watermark is made for servers; a laptop's full disk shall not block the demo's publishers.
      'disk_free_limit.absolute = 50MB',
      'log.console = true',
      'log.console.level = warning',
      'log.file = false',
      '',
    ].join('\n'),
  )
}

function rabbitEnvironment(folder: string, distribution: number): Record<string, string> {
  return {
    HOME: join(folder, 'home'),
    RABBITMQ_NODENAME: `clinic-sync-${randomBytes(6).toString('hex')}@localhost`,
    RABBITMQ_DIST_PORT: String(distribution),
    RABBITMQ_CONF_ENV_FILE: join(folder, 'rabbitmq-env.conf'),
    RABBITMQ_CONFIG_FILE: join(folder, 'rabbitmq.conf'),
    RABBITMQ_ADVANCED_CONFIG_FILE: join(folder, 'advanced.config'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'enabled_plugins'),
    RABBITMQ_MNESIA_BASE: join(folder, 'data'),
    RABBITMQ_LOG_BASE: join(folder, 'log'),
    RABBITMQ_SCHEMA_DIR: join(folder, 'schema'),
    RABBITMQ_GENERATED_CONFIG_DIR: join(folder, 'generated'),
    // No busy waiting: as in docker-compose.yml.
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS:
      '-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none',
  }
}
