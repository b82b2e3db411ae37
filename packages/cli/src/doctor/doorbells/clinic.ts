import type { Settings } from '@clinic-sync/runtime'
import { notifyUrl } from '../../doorbell/use.ts'
import { whyNot } from '../../migrate/engine.ts'
import { shown } from '../addresses.ts'
import { type Check, checksOf, counted } from '../check.ts'
import { type ClinicFacts, engineOf } from '../clinic/facts.ts'

const { ok, warn, fail } = checksOf('doorbells')

/** Each doorbell's trigger on dbo.SyncQueue, and the file that installs it. */
const INSTALLED = {
  'service-broker': ['trg_SyncQueue_RingServiceBroker', '07_service_broker_doorbell.sql'],
  'ole-automation': ['trg_SyncQueue_NotifyApp', '04_webhook_notification_system.sql'],
  'rest-endpoint': ['trg_SyncQueue_NotifyAppByRest', '08_rest_endpoint_doorbell.sql'],
} as const
type Installed = keyof typeof INSTALLED

const SWITCH = 'npm run sync -- doorbell'
/** Two commands: not every shell of Windows knows `&&`. */
const INSTALL = `npm run sync -- migrate clinic, then: ${SWITCH}`

/**
 * The clinic's doorbell: the one that is set, switched on, and with what it needs.
 *
 * @param heard whether a ring was heard just now: then the address leads to the ingress, whatever it looks like from here.
 */
export function clinicDoorbellChecks(
  facts: ClinicFacts,
  { CLINIC_DOORBELL: chosen, INGRESS_URL: ingress }: Pick<Settings, 'CLINIC_DOORBELL' | 'INGRESS_URL'>,
  heard: boolean,
): Check[] {
  const wanted = chosen === 'http' ? 'none' : chosen
  const actual = facts.get('Doorbell')
  if (actual === undefined || actual === null) return []
  const title = "The clinic's doorbell is the one in CLINIC_DOORBELL"
  const impossible = possible(facts, wanted)
  // To switch it on is refused then.
  if (impossible.length > 0) return impossible
  if (actual !== wanted)
    return [fail('clinic.setting', title, `the clinic has ${actual}, CLINIC_DOORBELL is ${chosen}`, SWITCH)]
  if (wanted === 'none') {
    if (chosen === 'http') return [ok('clinic.setting', title, 'http: a caller of your own')]
    const found = 'none: changes wait until the ingress starts, or somebody calls POST /api/sync/trigger'
    return [warn('clinic.setting', title, found, `Set CLINIC_DOORBELL in .env, then: ${INSTALL}`)]
  }
  return [
    ok('clinic.setting', title, wanted),
    ...triggerChecks(facts, wanted),
    ...(wanted === 'service-broker' ? brokerChecks(facts) : httpChecks(facts, wanted, ingress, heard)),
  ]
}

/** What the engine cannot do. */
function possible(facts: ClinicFacts, wanted: Installed | 'none'): Check[] {
  const why = wanted === 'none' ? null : whyNot(engineOf(facts), wanted)
  if (why === null) return []
  return [
    fail(
      'clinic.possible',
      `This SQL Server can ring by ${wanted}`,
      why,
      `Set CLINIC_DOORBELL in .env to another, restart the ingress, then: ${INSTALL}`,
    ),
  ]
}

function triggerChecks(facts: ClinicFacts, wanted: Installed): Check[] {
  const checks: Check[] = []
  for (const [doorbell, [trigger, file]] of Object.entries(INSTALLED)) {
    const state = facts.get(`trigger:${trigger}`)
    const title = `The trigger ${trigger}${doorbell === wanted ? '' : ' is off'}`
    const word = `clinic.trigger.${trigger}`
    if (doorbell !== wanted) {
      if (state === 'enabled')
        checks.push(warn(word, title, `it is on, and rings too: ${doorbell} is not the one that is set`, SWITCH))
    } else if (state === 'missing') checks.push(fail(word, title, `it is not there: ${file} is not applied`, INSTALL))
    else if (state === 'disabled')
      checks.push(fail(word, title, 'it is off: nothing rings', `ENABLE TRIGGER dbo.${trigger} ON dbo.SyncQueue;`))
    else if (state === 'enabled') checks.push(ok(word, title, 'on'))
  }
  return checks
}

function brokerChecks(facts: ClinicFacts): Check[] {
  const enabled = facts.get('IsBrokerEnabled')
  const title = 'Service Broker is on in this database'
  if (enabled === '0')
    return [
      fail(
        'clinic.service-broker',
        title,
        'it is off, as in most databases and after every restore: nothing rings. The statement needs the database to itself: it rolls back every open transaction in it. Redo it after each restore',
        `When nobody works: ALTER DATABASE ${facts.database} SET ENABLE_BROKER WITH ROLLBACK IMMEDIATE;`,
      ),
    ]
  const checks = enabled === '1' ? [ok('clinic.service-broker', title, 'is_broker_enabled is 1')] : []
  const queue = facts.get('BrokerQueue')
  if (queue === 'disabled')
    checks.push(
      fail(
        'clinic.queue',
        'The queue sync.DoorbellQueue receives',
        'it is off',
        'ALTER QUEUE sync.DoorbellQueue WITH STATUS = ON;',
      ),
    )
  else if (queue === 'missing')
    checks.push(
      fail(
        'clinic.queue',
        'The queue sync.DoorbellQueue receives',
        'it is not there',
        'Run migrations/sqlserver/07_service_broker_doorbell.sql in SSMS.',
      ),
    )
  else if (queue === 'enabled') checks.push(ok('clinic.queue', 'The queue sync.DoorbellQueue receives', 'on'))
  const backlog = facts.number('BrokerBacklog')
  if (backlog !== null && backlog > 0)
    checks.push(
      warn(
        'clinic.backlog',
        'No ring is stuck',
        `${counted(backlog, 'message')} in sys.transmission_queue`,
        'SELECT TOP (5) transmission_status, enqueue_time FROM sys.transmission_queue ORDER BY enqueue_time; says why.',
      ),
    )
  return checks
}

const OPTIONS = {
  'ole-automation': [
    'OleAutomation',
    'Ole Automation Procedures',
    "EXEC sp_configure 'show advanced options', 1; RECONFIGURE; ",
  ],
  'rest-endpoint': ['RestEndpoint', 'external rest endpoint enabled', ''],
} as const

function httpChecks(
  facts: ClinicFacts,
  wanted: 'ole-automation' | 'rest-endpoint',
  ingress: string,
  heard: boolean,
): Check[] {
  const [fact, option, before] = OPTIONS[wanted]
  const on = facts.get(fact)
  const checks: Check[] = []
  const title = `'${option}' is on in this server`
  if (on === '1') checks.push(ok(`clinic.${wanted}`, title, 'on'))
  else if (on === '0')
    checks.push(
      fail(
        `clinic.${wanted}`,
        title,
        'it is off: nothing rings',
        `${before}EXEC sp_configure '${option}', 1; RECONFIGURE;`,
      ),
    )
  if (facts.get('DoorbellSecret') === 'missing')
    checks.push(fail('clinic.secret', 'The clinic has the secret that the ingress wants', 'it has none', SWITCH))
  return [...checks, ...addressChecks(facts.get('DoorbellURL')?.trim() ?? '', ingress, heard)]
}

function addressChecks(url: string, ingress: string, heard: boolean): Check[] {
  const title = "The clinic's doorbell leads to the ingress"
  const expected = notifyUrl(ingress)
  if (url === '') return [fail('clinic.url', title, 'sync.Settings has no DoorbellURL', SWITCH)]
  const found = shown(url)
  if (heard || found === shown(expected)) return [ok('clinic.url', title, found)]
  if (!found.endsWith('/api/sync/queue-notify')) return [fail('clinic.url', title, `it calls ${found}`, SWITCH)]
  return [
    warn(
      'clinic.url',
      title,
      `it calls ${found}; by DOORBELL_URL (or INGRESS_URL) it would be ${shown(expected)}`,
      `Set DOORBELL_URL in .env to an address at which SQL Server reaches the ingress, then: ${SWITCH}`,
    ),
  ]
}
