import { openScriptConnection, ringDoorbell, type ScriptConnection, toDatabaseError } from '@clinic-sync/clinic'
import { type Environment, readSettings } from '@clinic-sync/runtime'
import type { Rung } from '@clinic-sync/sync'
import { adminUrl } from '../admin-url.ts'
import { inDatabase } from '../migrate/choose.ts'
import { callsByHttp, checkChoice, type DoorbellChoice, notifyUrl, useDoorbell } from './use.ts'

export interface DoorbellCommand {
  readonly environment: Environment
  /** Only says what is set. */
  readonly show: boolean
  readonly say: (line: string) => void
}

/**
 * Makes the clinic's database ring as CLINIC_DOORBELL says, and rings once.
 *
 * @returns whether all is as CLINIC_DOORBELL says, as far as the database can tell.
 * @throws SyncError in words for the operator.
 */
export async function doorbellCommand({ environment, show, say }: DoorbellCommand): Promise<boolean> {
  const url = adminUrl(environment)
  const choice = choiceFrom(environment)
  checkChoice(choice)
  const connection = openScriptConnection(url, { requestTimeout: 60_000 })
  try {
    if (show) return await showSettings(connection, choice, say)
    await useDoorbell(connection, choice)
    if (choice.doorbell === 'http' || choice.doorbell === 'none') {
      say('clinic: nothing in the database rings any more.')
      if (choice.doorbell === 'http')
        say(
          `CLINIC_DOORBELL is http: something of your own calls POST ${notifyUrl(choice.ingressUrl)} with the header x-sync-secret.`,
        )
      return true
    }
    say(`clinic: the doorbell ${choice.doorbell} is switched on.`)
    const rung = await ringDoorbell(connection)
    for (const line of linesOf(rung)) say(line)
    return rung.rang
  } finally {
    await connection.close()
  }
}

function choiceFrom(environment: Environment): DoorbellChoice {
  const settings = readSettings(['CLINIC_DOORBELL', 'INGRESS_URL', 'DOORBELL_URL'], environment)
  const doorbell = settings.CLINIC_DOORBELL
  const ingressUrl = settings.DOORBELL_URL || settings.INGRESS_URL
  const secret = callsByHttp(doorbell) ? readSettings(['SYNC_WEBHOOK_SECRET'], environment).SYNC_WEBHOOK_SECRET : ''
  return { doorbell, ingressUrl, secret }
}

function linesOf({ rang, answer }: Rung): string[] {
  if (rang) return [`clinic: it rang${answer === null ? '.' : `, and was answered with ${answer}.`}`]
  const todo = answer?.startsWith('HTTP 401')
    ? 'The ingress was started with another SYNC_WEBHOOK_SECRET.'
    : answer?.startsWith('HTTP ')
      ? 'Something else answers there, or the ingress refuses: see its log.'
      : 'It is switched on all the same. Is the ingress running, and is DOORBELL_URL (or INGRESS_URL) its address as SQL Server’s host sees it?'
  return [`clinic: it did not ring: ${answer ?? 'no reason given'}.`, todo]
}

async function showSettings(connection: ScriptConnection, choice: DoorbellChoice, say: DoorbellCommand['say']) {
  const rows = await connection
    .batch(
      // The secret stays in the database.
      "SELECT Name, CASE WHEN Name = N'DoorbellSecret' THEN N'set' ELSE Value END AS Value FROM sync.Settings " +
        "WHERE Name IN (N'Doorbell', N'DoorbellURL', N'DoorbellSecret')",
    )
    .catch((error: unknown) => {
      throw toDatabaseError(error, 'reading sync.Settings')
    })
  const set = new Map(rows.map(({ Name, Value }) => [String(Name), Value === null ? undefined : String(Value)]))
  const doorbell = set.get('Doorbell') ?? 'none'
  say(`CLINIC_DOORBELL  ${choice.doorbell}`)
  say(`Doorbell         ${doorbell}`)
  say(`DoorbellURL      ${withoutLogin(set.get('DoorbellURL')) ?? 'missing'}`)
  say(`DoorbellSecret   ${set.get('DoorbellSecret') ?? 'missing'}`)
  return doorbell === inDatabase(choice.doorbell)
}

function withoutLogin(url: string | undefined): string | undefined {
  return url?.replace(/^(\w+:\/\/)[^/@]*@/, '$1')
}
