import { type AlertTestResponse, alertTestResponseValidator } from '@clinic-sync/contracts'
import { type Environment, readSettings } from '@clinic-sync/runtime'
import { SyncError } from '@clinic-sync/sync'
import type { Command } from 'commander'
import { ingressAddress } from '../ingress-address.ts'

/** The ingress gives the receiver 10 s. */
const ASK_MS = 15_000

/** Adds `alert-test` to the program. */
export function addAlertTest(program: Command, environment: () => Environment): void {
  program
    .command('alert-test')
    .description('let the ingress send a test message to ALERT_WEBHOOK_URL, and say whether it was taken')
    .action(async () => {
      const taken = await alertTestCommand({ environment: environment(), say: (line) => console.log(line) })
      if (!taken) process.exitCode = 1
    })
}

/**
 * From where alerts are sent: what this command reaches, the ingress need not.
 *
 * @returns whether it was taken
 * @throws SyncError SYNC_INGRESS
 */
export async function alertTestCommand({
  environment,
  say,
}: {
  readonly environment: Environment
  readonly say: (line: string) => void
}): Promise<boolean> {
  const { sent, status, ms, message } = await ask(readSettings(['INGRESS_URL', 'SYNC_OPERATOR_TOKEN'], environment))
  if (sent) say(`The receiver has taken a test message (HTTP ${status}, ${ms} ms): look there whether it is shown.`)
  else say(`No alert arrives. ${message ?? 'The ingress does not say why.'}`)
  return sent
}

async function ask(settings: { INGRESS_URL: string; SYNC_OPERATOR_TOKEN: string }): Promise<AlertTestResponse> {
  const url = new URL(ingressAddress(settings.INGRESS_URL, '/api/sync/alerts/test'))
  let response: Response
  try {
    response = await fetch(url, {
      method: 'POST',
      headers: { authorization: `Bearer ${settings.SYNC_OPERATOR_TOKEN}` },
      redirect: 'manual',
      signal: AbortSignal.timeout(ASK_MS),
    })
  } catch (cause) {
    throw new SyncError('SYNC_INGRESS', `No ingress answers at ${url.origin}.`, { cause })
  }
  if (response.status === 401)
    throw new SyncError('SYNC_INGRESS', `The ingress at ${url.origin} does not accept this SYNC_OPERATOR_TOKEN.`)
  const answer: unknown = await response.json().catch(() => null)
  if (response.ok && alertTestResponseValidator.Check(answer)) return answer
  throw new SyncError('SYNC_INGRESS', `What answers at ${url.origin} sends no alerts (HTTP ${response.status}).`)
}
