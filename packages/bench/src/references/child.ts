import { fork } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Stage } from '../stage/stage.ts'

/** A process of the references', as built: `npm run build` comes before. It ends with this one. */
export interface Helper {
  /** Sends a message, and waits for the answer. @throws Error if it ends instead */
  ask<T>(message: object): Promise<T>
  stop(): Promise<void>
}

/** @param script of this folder, without its ending. Resolves when it has said that it is ready. */
export async function startHelper(
  stage: Pick<Stage, 'folder'>,
  script: string,
  args: readonly string[],
): Promise<Helper> {
  const log = openSync(`${stage.folder}/${script}.log`, 'a')
  const path = fileURLToPath(new URL(`../../dist/references/${script}.js`, import.meta.url))
  const child = fork(path, [...args], {
    stdio: ['ignore', log, log, 'ipc'],
    execArgv: [],
    detached: true,
    serialization: 'advanced',
  })
  closeSync(log)
  const ended = once(child, 'exit')
  const next = async (): Promise<unknown> => {
    const died = ended.then((): never => {
      throw new Error(`${script} has ended.`)
    })
    const [message] = await Promise.race([once(child, 'message'), died])
    return message
  }
  await next()
  return {
    async ask<T>(message: object) {
      const answer = next()
      child.send(message)
      return (await answer) as T
    },
    async stop() {
      child.kill('SIGTERM')
      await ended
    },
  }
}
