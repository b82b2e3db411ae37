import { randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Guarded, type GuardedProcess } from './guarded.ts'
import { capture, until } from './machine.ts'
import { freePorts } from './ports.ts'
import { managementReady } from './rabbit-management.ts'
import { installedRabbit, type InstalledRabbit } from './rabbit-private.ts'
import { NoServiceError } from './service.ts'

/** Two cores that others use too take their time over three Erlang machines. */
const START_MS = 180_000
const CONTROL_MS = 60_000

/** A RabbitMQ of our own, of one node or of several in a cluster, each of which can be killed, stopped and started. */
export interface RabbitNodes {
  readonly version: string
  readonly nodes: readonly RabbitNode[]
  /** Ends all nodes and removes their data. */
  stop(): Promise<void>
}

export interface RabbitNode {
  /** Its name in the cluster, as in `rabbitmqctl cluster_status`. */
  readonly name: string
  readonly port: number
  /** amqp://guest:guest@127.0.0.1:port */
  readonly url: string
  readonly managementUrl: string
  /** As a crash: SIGKILL of all its processes. Resolves when they are gone. */
  kill(): Promise<void>
  /** With the data that it had. Resolves when it answers. @throws Error with the last lines of its log */
  start(): Promise<void>
  /** As a machine that stands still: SIGSTOP, SIGCONT. */
  pause(): void
  resume(): void
  /** Runs `rabbitmqctl` for this node. @throws Error with what it said */
  control(...args: readonly string[]): Promise<string>
}

/**
 * Starts the RabbitMQ of this machine as a cluster of so many nodes, on ports of their own, with an epmd of their own.
 *
 * @throws NoServiceError where there is none on this machine
 */
export async function startRabbitNodes(count: number, env: NodeJS.ProcessEnv = process.env): Promise<RabbitNodes> {
  const installed = await installedRabbit(env)
  if (typeof installed === 'string')
    throw new NoServiceError(
      `RabbitMQ is needed on this machine itself: ${installed}. Debian: apt-get install rabbitmq-server.`,
    )
  const guarded = await Guarded.open()
  try {
    return await startIn(guarded, installed, count, env)
  } catch (error) {
    await guarded.close()
    throw error
  }
}

async function startIn(
  guarded: Guarded,
  installed: InstalledRabbit,
  count: number,
  outer: NodeJS.ProcessEnv,
): Promise<RabbitNodes> {
  const [epmdPort = 0, ...ports] = await freePorts(1 + count * 3)
  const suffix = randomBytes(4).toString('hex')
  // One home for all: the nodes of a cluster share the cookie in it, and so does rabbitmqctl.
  await mkdir(join(guarded.folder, 'home'))
  const shared = {
    PATH: outer.PATH ?? '/usr/bin:/bin',
    LANG: 'C.UTF-8',
    HOME: join(guarded.folder, 'home'),
    ERL_EPMD_PORT: String(epmdPort),
    ERL_EPMD_ADDRESS: '127.0.0.1',
  }
  await guarded.start({
    command: installed.epmd,
    args: ['-port', String(epmdPort), '-address', '127.0.0.1'],
    env: shared,
    log: 'epmd.log',
    stopSignal: 'SIGKILL',
    graceMs: 1_000,
  })
  const places = Array.from({ length: count }, (_, i): Place => {
    const [port = 0, distribution = 0, management = 0] = ports.slice(i * 3)
    const folder = join(guarded.folder, `node${i + 1}`)
    return { name: `n${i + 1}-${suffix}@localhost`, folder, port, distribution, management }
  })
  for (const place of places) await configure(place, places)
  const nodes = places.map((place) => nodeAt(place, { guarded, installed, shared }))
  const [first, ...others] = nodes
  // The others find it by its name, and join.
  await first?.start()
  await Promise.all(others.map((node) => node.start()))
  if (first !== undefined) await until(START_MS, () => everybodyThere(first.managementUrl, count))
  const version = first === undefined ? '' : await managementReady(first.managementUrl)
  return { version, nodes, stop: () => guarded.close() }
}

interface Place {
  readonly name: string
  readonly folder: string
  readonly port: number
  readonly distribution: number
  readonly management: number
}

async function configure({ folder, port, management }: Place, all: readonly Place[]): Promise<void> {
  await mkdir(folder)
  await writeFile(join(folder, 'enabled_plugins'), '[rabbitmq_management].\n')
  await writeFile(join(folder, 'rabbitmq-env.conf'), '')
  const cluster = [
    'cluster_formation.peer_discovery_backend = classic_config',
    ...all.map(({ name }, i) => `cluster_formation.classic_config.nodes.${i + 1} = ${name}`),
    // A majority must be there, or a node stops serving: what quorum queues need is not decided by two halves.
    'cluster_partition_handling = pause_minority',
  ]
  await writeFile(
    join(folder, 'rabbitmq.conf'),
    [
      `listeners.tcp.1 = 127.0.0.1:${port}`,
      'management.tcp.ip = 127.0.0.1',
      `management.tcp.port = ${management}`,
      'disk_free_limit.absolute = 50MB',
      'log.console = true',
      'log.console.level = warning',
      'log.file = false',
      ...(all.length > 1 ? cluster : []),
      '',
    ].join('\n'),
  )
}

interface Means {
  readonly guarded: Guarded
  readonly installed: InstalledRabbit
  readonly shared: Readonly<Record<string, string>>
}

function nodeAt(place: Place, { guarded, installed, shared }: Means): RabbitNode {
  const { name, folder, port, distribution, management } = place
  const log = `${name}.log`
  const env = {
    ...shared,
    RABBITMQ_NODENAME: name,
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
  const managementUrl = `http://guest:guest@127.0.0.1:${management}`
  let server: GuardedProcess | undefined
  const signal = (kind: 'SIGSTOP' | 'SIGCONT') => {
    if (server === undefined) return
    try {
      // Its whole group: the start script, the Erlang machine and its helpers.
      process.kill(-server.pid, kind)
    } catch {
      // It has ended.
    }
  }
  return {
    name,
    port,
    url: `amqp://guest:guest@127.0.0.1:${port}`,
    managementUrl,
    async kill() {
      const doomed = server
      server = undefined
      await doomed?.end('SIGKILL')
    },
    async start() {
      if (server !== undefined) return
      const started = await guarded.start({
        command: installed.server,
        args: [],
        env,
        log,
        stopSignal: 'SIGKILL',
        graceMs: 1_000,
      })
      server = started
      try {
        await until(START_MS, () => managementReady(managementUrl), started.exited)
      } catch (error) {
        throw new Error(`RabbitMQ ${name} did not start: ${guarded.tail(log)}`, { cause: error })
      }
    },
    pause: () => signal('SIGSTOP'),
    resume: () => signal('SIGCONT'),
    async control(...args) {
      const command = join(dirname(installed.server), 'rabbitmqctl')
      const words = [
        '-i',
        ...Object.entries(env).map(([key, value]) => `${key}=${value}`),
        command,
        '--node',
        name,
        ...args,
      ]
      const { code, output, errors } = await capture('env', words, CONTROL_MS)
      if (code !== 0) throw new Error(`rabbitmqctl ${args.join(' ')} ended with ${code}: ${errors || output}`)
      return output
    },
  }
}

/** Throws until all nodes run in one cluster. */
async function everybodyThere(managementUrl: string, count: number): Promise<void> {
  const { origin } = new URL(managementUrl)
  const response = await fetch(`${origin}/api/nodes`, {
    headers: { authorization: `Basic ${Buffer.from('guest:guest').toString('base64')}` },
    signal: AbortSignal.timeout(10_000),
  })
  const nodes: unknown = await response.json()
  const running = Array.isArray(nodes) ? nodes.filter((node: { running?: boolean }) => node.running === true).length : 0
  if (running < count) throw new Error(`${running} of ${count} nodes of RabbitMQ run in the cluster`)
}
