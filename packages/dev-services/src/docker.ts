import { randomBytes } from 'node:crypto'
import { Guarded } from './guarded.ts'
import { capture, find, until } from './machine.ts'
import { freePorts } from './ports.ts'
import type { ServiceOptions } from './service.ts'

export type Container = {
  /** Ports on 127.0.0.1, in the order of the container's. */
  ports: number[]
  /** Calls `probe` until it gives a value; throws with the container's last words when it ended or `timeoutMs` are over. */
  answers<T>(timeoutMs: number, probe: () => Promise<T>): Promise<T>
  stop(): Promise<void>
}

type Wanted = {
  image: string
  /** The container's port or ports to publish on 127.0.0.1. */
  port: number | number[]
  environment: Record<string, string>
  command?: string[]
  options: ServiceOptions
}

/**
 * Runs a container that is removed with its data at the end, or says why there can be none. The image is pulled first
 * if it is not there, which may take minutes and is said.
 */
export async function startContainer({
  image,
  port,
  environment,
  command = [],
  options,
}: Wanted): Promise<Container | string> {
  const env = options.env ?? process.env
  const docker = await find('docker', [], env)
  if (!docker) return 'no docker command'
  const engine = await capture(docker, ['version', '--format', '{{.Server.Version}}'])
  if (engine.code !== 0) return 'no Docker engine answers'
  if ((await capture(docker, ['image', 'inspect', image])).code !== 0) {
    options.say?.(`Docker: pulling ${image}, once`)
    const pull = await capture(docker, ['pull', '--quiet', image], 15 * 60_000)
    if (pull.code !== 0) return `${image} cannot be pulled: ${pull.errors.split('\n').at(-1) ?? ''}`
  }
  const inner = [port].flat()
  const ports = await freePorts(inner.length)
  const name = `clinic-sync-${randomBytes(6).toString('hex')}`
  const guarded = await Guarded.open()
  try {
    const own = Object.fromEntries(
      Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined),
    )
    const { exited } = await guarded.start({
      command: docker,
      args: [
        'run',
        '--rm',
        '--name',
        name,
        ...inner.flatMap((number, index) => ['-p', `127.0.0.1:${ports[index]}:${number}`]),
        // Values come from the environment, so that a password is not in the list of processes.
        ...Object.keys(environment).flatMap((key) => ['-e', key]),
        image,
        ...command,
      ],
      env: { ...own, ...environment },
      log: 'container.log',
      // The container ends by its removal; the command that shows its output needs no grace.
      stopSignal: 'SIGKILL',
      graceMs: 1_000,
      after: [[docker, 'rm', '--force', '--volumes', name]],
    })
    return {
      ports,
      stop: () => guarded.close(),
      answers: async (timeoutMs, probe) => {
        try {
          return await until(timeoutMs, probe, exited)
        } catch (error) {
          const words = guarded.tail('container.log')
          await guarded.close()
          throw new Error(`${image} did not start: ${words}`, { cause: error })
        }
      },
    }
  } catch (error) {
    await guarded.close()
    throw error
  }
}
