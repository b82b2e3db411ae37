import { fork } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Written } from '@clinic-sync/sqlserver-simulator'

/** The clinic's SQL Server for a benchmark: the simulator, which shares no processor time with who measures. */
export interface ClinicServer {
  /** With a login that may do everything, and with the services' own. */
  readonly url: string
  readonly serviceUrl: string
  /** Batches and procedure calls that it has received, the driver's own SETs left out. */
  queries(): Promise<number>
  /** Tells which rows of synced tables a commit wrote, and at which `performance.now()` of ours it did. @returns ends it */
  watch(onCommit: (written: Written, at: number) => void): Promise<() => Promise<void>>
  stop(): Promise<void>
}

interface Answer {
  readonly queries?: number
  readonly url?: string
  readonly serviceUrl?: string
}
type Message = Answer | { readonly written: Written; readonly at: number }

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
  const died = ended.then((): never => {
    throw new Error('The simulator has ended.')
  })
  died.catch(() => undefined)
  let answered: (answer: Answer) => void
  let onCommit: ((written: Written, at: number) => void) | undefined
  const ours = performance.now() - Number(process.hrtime.bigint()) / 1e6
  child.on('message', (message: Message) => {
    if ('written' in message) onCommit?.(message.written, message.at + ours)
    else answered(message)
  })
  const next = () => Promise.race([new Promise<Answer>((resolve) => (answered = resolve)), died])
  const ask = (question: 'queries' | 'watch' | 'unwatch') => {
    const answer = next()
    child.send(question)
    return answer
  }
  const { url, serviceUrl } = await next()
  if (url === undefined || serviceUrl === undefined) throw new Error('The simulator has not said where it is.')
  return {
    url,
    serviceUrl,
    queries: async () => (await ask('queries')).queries ?? Number.NaN,
    async watch(listener) {
      onCommit = listener
      await ask('watch')
      return async () => {
        await ask('unwatch')
        onCommit = undefined
      }
    },
    async stop() {
      child.kill('SIGKILL')
      await ended
    },
  }
}
