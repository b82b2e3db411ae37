import { brokerAddress } from '@clinic-sync/broker'
import { openZone, parseAddress } from '@clinic-sync/clinic'
import { isTransactionMode, portalAddress } from '@clinic-sync/portal'
import { type Environment, readSettings, SETTINGS, type SettingName, type Settings } from '@clinic-sync/runtime'
import { SyncError } from '@clinic-sync/sync'
import { type Check, checksOf } from './check.ts'

const { ok, warn, fail } = checksOf('settings')
const NAMES = Object.keys(SETTINGS) as SettingName[]

/** Works in every shell, Windows' as well. */
const MAKE_SECRET = `node -p "require('crypto').randomBytes(32).toString('hex')"`

/** Whose checks are left out without a setting. */
const NEEDED_FOR: Partial<Record<SettingName, string>> = {
  SQLSERVER_URL: 'the clinic',
  CLINIC_TIME_ZONE: 'the clinic',
  POSTGRES_URL: 'the portal',
  RABBITMQ_URL: 'RabbitMQ',
  INGRESS_URL: 'the ingress',
}

/** What is wrong is not among `settings`. */
export interface ReadSettings {
  readonly settings: Partial<Settings>
  readonly checks: readonly Check[]
}

/** Reads every setting by itself, so that each wrong one is named. */
export function settingsChecks(environment: Environment): ReadSettings {
  const settings: Partial<Record<SettingName, unknown>> = {}
  const wrong: Check[] = []
  for (const name of NAMES) {
    try {
      const value = readSettings([name], environment)[name]
      examine(name, value)
      settings[name] = value
    } catch (error) {
      if (!(error instanceof SyncError)) throw error
      wrong.push(named(name, error))
    }
  }
  const read = settings as Partial<Settings>
  return {
    settings: read,
    checks: [
      ...(wrong.length === 0
        ? [ok('well-formed', 'The settings are there and well-formed', `${NAMES.length} read`)]
        : wrong),
      ...together(read),
      ...alerts(read),
    ],
  }
}

/** What the settings' schema cannot say. @throws SyncError */
function examine(name: SettingName, value: unknown): void {
  if ((name === 'SQLSERVER_URL' || name === 'SQLSERVER_ADMIN_URL') && value !== '') parseAddress(String(value))
  if ((name === 'POSTGRES_URL' || name === 'POSTGRES_ADMIN_URL') && value !== '') portalAddress(String(value), name)
  if (name === 'RABBITMQ_URL') brokerAddress(String(value))
  const carried = name === 'SYNC_WEBHOOK_SECRET' || name === 'SYNC_OPERATOR_TOKEN'
  if (carried && !/^[\x20-\x7e]+$/.test(String(value)))
    throw new SyncError(
      'SYNC_CONFIG',
      `${name} has characters that no HTTP header carries (see ${name} in .env.example).`,
    )
  if (name !== 'CLINIC_TIME_ZONE') return
  try {
    openZone(String(value))
  } catch (cause) {
    throw new SyncError('SYNC_CONFIG', 'CLINIC_TIME_ZONE is not a time zone (see CLINIC_TIME_ZONE in .env.example).', {
      cause,
    })
  }
}

function named(name: SettingName, { message }: SyncError): Check {
  const area = NEEDED_FOR[name]
  const left = area === undefined ? '' : ` Nothing of ${area} can be checked.`
  const secret = name === 'SYNC_WEBHOOK_SECRET' || name === 'SYNC_OPERATOR_TOKEN'
  const how = secret ? ` (make one: ${MAKE_SECRET})` : ''
  // parseAddress speaks of SQLSERVER_URL, whichever of the two it reads.
  const said = name === 'SQLSERVER_ADMIN_URL' ? message.replace('SQLSERVER_URL', name) : message
  return fail(
    name,
    `The setting ${name}`,
    `${said}${left}`,
    `Correct ${name} in .env${how}, then restart the services.`,
  )
}

/** Whether anybody is told. Whether a message arrives, only `alert-test` says: it sends one. */
function alerts({ ALERT_WEBHOOK_URL: url }: Partial<Settings>): Check[] {
  if (url === undefined) return []
  const title = 'Alerts are sent to somebody'
  if (url === '') return [ok('alerts', title, 'to nobody: ALERT_WEBHOOK_URL is not set')]
  const { protocol, hostname } = new URL(url)
  if (protocol === 'https:' || ['localhost', '127.0.0.1', '[::1]'].includes(hostname))
    return [ok('alerts', title, 'ALERT_WEBHOOK_URL is set; `npm run sync -- alert-test` sends a test message')]
  return [
    warn(
      'alerts',
      title,
      'ALERT_WEBHOOK_URL is http: whoever is on the way reads the alerts, and the address, which lets anybody send some',
      'Give it the https address in .env, then restart the ingress.',
    ),
  ]
}

/** What must hold between two settings. */
function together(settings: Partial<Settings>): Check[] {
  const { SYNC_OPERATOR_TOKEN: token, SYNC_WEBHOOK_SECRET: secret, POSTGRES_URL: portal, PORTAL_DOORBELL } = settings
  const { CLINIC_DOORBELL } = settings
  const calls = settings.DOORBELL_URL || settings.INGRESS_URL
  const checks: Check[] = []
  if (token !== undefined && secret !== undefined) {
    const title = "The operator's token is not the doorbells' secret"
    checks.push(
      token === secret
        ? warn(
            'token',
            title,
            'they are the same: whoever may ring may also command',
            `Give SYNC_OPERATOR_TOKEN another value in .env (${MAKE_SECRET}), then restart the ingress.`,
          )
        : ok('token', title, 'they differ'),
    )
  }
  if (token !== undefined && /\s/.test(token))
    checks.push(
      warn(
        'bearer',
        "The operator's token can be sent as a bearer token",
        'it has a blank, which ends a bearer token: the backfill and curl would be refused',
        `Give SYNC_OPERATOR_TOKEN another value in .env (${MAKE_SECRET}), then restart the ingress.`,
      ),
    )
  if (portal !== undefined && isTransactionMode(portal) && PORTAL_DOORBELL === 'listen')
    checks.push(
      fail(
        'transaction-mode',
        'POSTGRES_URL is a connection on which LISTEN is heard',
        'port 6543 is transaction mode, where nothing is ever heard; the ingress refuses to start',
        'Set the port in POSTGRES_URL to 5432 (the session pooler or the direct connection), then restart the services.',
      ),
    )
  if (CLINIC_DOORBELL === 'rest-endpoint' && calls !== undefined && !calls.startsWith('https:'))
    checks.push(
      fail(
        'https',
        'DOORBELL_URL is one that SQL Server can call',
        'sp_invoke_external_rest_endpoint calls HTTPS addresses only, and neither DOORBELL_URL nor INGRESS_URL is one',
        'Set DOORBELL_URL to the HTTPS address of a proxy before the ingress, then run `npm run sync -- doorbell`.',
      ),
    )
  return checks
}
