import { fork } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** The clinic's SQL Server for a benchmark: the simulator, which shares no processor time with who measures. */
export interface ClinicServer {
  /** With a login that may do everything, and with the services' own. */
  readonly url: string
  readonly serviceUrl: string
  /** Batches and procedure calls that it has received, the driver's own SETs left out. */
  queries(): Promise<number>
  stop(): Promise<void>
}

/** @param folder holds its log. It runs as built: `npm run build` comes before. */
export async function startClinicServer(folder: string): Promise<ClinicServer> {
  const log = openSync(`${folder}/simulator.log`, 'a')
  const child = fork(fileURLToPath(new URL('../../dist/stage/simulator-child.js', import.meta.url)), {
    stdio: ['ignore', log, log, 'ipc'],
    execArgv: [],
    detached: true,
  })
  closeSync(log)
  const ended = once(child, 'exit')
  const next = async <T>(): Promise<T> => {
    const died = ended.then((): never => {
      throw new Error('The simulator has ended.')
    })
    const [message]: [T] = (await Promise.race([once(child, 'message'), died])) as [T]
    return message
  }
  const { url, serviceUrl } = await next<{ url: string; serviceUrl: string }>()
  return {
    url,
    serviceUrl,
    async queries() {
      const answer = next<{ queries: number }>()
      child.send('queries')
      return (await answer).queries
    },
    async stop() {
      child.kill('SIGKILL')
      await ended
    },
  }
}
