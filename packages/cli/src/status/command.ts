import type { SyncStatus } from '@clinic-sync/contracts'
import { type Environment, readSettings } from '@clinic-sync/runtime'
import { Backoff, type Delays, SyncError } from '@clinic-sync/sync'
import type { Command } from 'commander'
import { setTimeout as sleep } from 'node:timers/promises'
import { askStatus, followStatus, type IngressToAsk } from './ask.ts'
import { statusLines } from './lines.ts'
import { gatherOwn } from './own.ts'

const RETRY: Delays = { min: 1_000, max: 30_000 }
const CLEAR = '\u001b[H\u001b[2J\u001b[3J'

interface Options {
  readonly watch: boolean
  readonly json: boolean
}

/** Where it is shown. */
export type Out = Pick<NodeJS.WriteStream, 'write'> & { readonly isTTY?: boolean }

/** Adds `status` to the program. */
export function addStatus(program: Command, environment: () => Environment): void {
  program
    .command('status')
    .description('how the sync does: outboxes, queues, retries, dead letters, doorbells, and what is stuck')
    .option('--watch', 'go on, and show it anew whenever something changes', false)
    .option('--json', 'print the status as JSON and nothing else', false)
    .action(async (options: Options) => {
      const stop = new AbortController()
      process.once('SIGINT', () => stop.abort())
      process.once('SIGTERM', () => stop.abort())
      const settings = environment()
      const { out, ...rest } = { out: process.stdout, ...options }
      if (rest.watch) await watchCommand({ environment: settings, json: rest.json, out, signal: stop.signal })
      else process.exitCode = await statusCommand({ environment: settings, json: rest.json, out, signal: stop.signal })
    })
}

export interface StatusCommand {
  readonly environment: Environment
  readonly json: boolean
  readonly out: Out
  readonly signal: AbortSignal
}

/** Shows the status once. @returns 0, or 1 where something is stuck */
export async function statusCommand({ environment, json, out, signal }: StatusCommand): Promise<0 | 1> {
  const status = await currentStatus(environment, signal)
  out.write(json ? `${JSON.stringify(status, null, 2)}\n` : `${statusLines(status).join('\n')}\n`)
  return status.ok ? 0 : 1
}

/** The status as the ingress tells it; without one as this process finds it. @throws SyncError SYNC_CONFIG */
export async function currentStatus(environment: Environment, signal: AbortSignal): Promise<SyncStatus> {
  return askStatus(ingressOf(environment), signal).catch((error: unknown) => ownOr(error, environment))
}

/**
 * Shows it whenever the ingress tells it, until `signal` is aborted. While the ingress does not answer it is looked at once, and
 * then only when the ingress is back: nobody polls. With `json` each is a line.
 */
export async function watchCommand({ environment, json, out, signal }: StatusCommand): Promise<void> {
  const ingress = ingressOf(environment)
  const show = (status: SyncStatus) => {
    if (json) return void out.write(`${JSON.stringify(status)}\n`)
    out.write(`${out.isTTY ? CLEAR : ''}${statusLines(status).join('\n')}\n\n${status.at}; Ctrl+C ends this.\n`)
  }
  const backoff = new Backoff(RETRY)
  let isTold = false
  while (!signal.aborted) {
    try {
      for await (const status of followStatus(ingress, signal)) {
        backoff.reset()
        isTold = false
        show(status)
      }
      if (!signal.aborted) throw new SyncError('SYNC_INGRESS', 'The ingress has ended.')
    } catch (error) {
      if (!isTold) show(await ownOr(error, environment))
      isTold = true
      await sleep(backoff.next(), undefined, { signal }).catch(() => undefined)
    }
  }
}

function ingressOf(environment: Environment): IngressToAsk {
  const { INGRESS_URL: url, SYNC_OPERATOR_TOKEN: token } = readSettings(
    ['INGRESS_URL', 'SYNC_OPERATOR_TOKEN'],
    environment,
  )
  return { url, token }
}

function ownOr(error: unknown, environment: Environment): Promise<SyncStatus> {
  if (error instanceof SyncError && error.code === 'SYNC_INGRESS') return gatherOwn(environment, error)
  throw error
}
