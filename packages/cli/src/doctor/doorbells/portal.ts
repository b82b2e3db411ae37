import { syncsBack, tables } from '@clinic-sync/mapping'
import { leadsToIngress, type PortalFacts, WEBHOOK_ROUTE, type WebhookTrigger } from '@clinic-sync/portal'
import type { Settings } from '@clinic-sync/runtime'
import { shown } from '../addresses.ts'
import { type Check, checksOf } from '../check.ts'

const { ok, warn, fail } = checksOf('doorbells')

/** Which events of a table travel: the mapping's portal inserts, and updates of shared columns. */
const EVENTS = tables.filter(syncsBack).map((table) => ({
  table: table.name,
  events: table.portalInserts ? (['INSERT', 'UPDATE'] as const) : (['UPDATE'] as const),
}))

/** The portal's doorbell: its triggers, and for webhooks, pg_net and the addresses. */
export function portalDoorbellChecks(
  facts: PortalFacts,
  { PORTAL_DOORBELL: chosen }: Pick<Settings, 'PORTAL_DOORBELL'>,
): Check[] {
  if (chosen === 'none')
    return [
      warn(
        'portal.setting',
        'The portal has a doorbell',
        "PORTAL_DOORBELL is none: doctors' edits wait until the ingress starts, or somebody calls POST /api/sync/trigger",
        'Set PORTAL_DOORBELL=listen in .env, then restart the ingress.',
      ),
    ]
  if (facts.server.schema !== 'usable') return []
  if (chosen === 'listen') return bell(facts, 'ring_listeners')
  return webhookChecks(facts)
}

function bell(facts: PortalFacts, name: 'ring_listeners' | 'ring_webhook'): Check[] {
  const state = facts.triggers.find((trigger) => trigger.table === 'sync.queue' && trigger.name === name)?.enabled
  const title = `The trigger ${name} of sync.queue`
  const word = `portal.${name}`
  if (state === 'O' || state === 'A') return [ok(word, title, 'on')]
  if (state !== undefined)
    return [fail(word, title, 'it is off: nothing rings', `ALTER TABLE sync.queue ENABLE TRIGGER ${name};`)]
  // A missing migration says so by itself.
  if (facts.migrations?.has('05_portal_doorbells.sql') !== true) return []
  return [fail(word, title, 'it is gone', "Run migrations/postgres/05_portal_doorbells.sql in Supabase's SQL editor.")]
}

/** Either our own trigger, with its two settings, or webhooks of the dashboard. */
function webhookChecks(facts: PortalFacts): Check[] {
  const { settings } = facts
  const ours = settings !== null && settings.webhookUrl !== null
  const checks = ours ? ownWebhook(facts) : dashboard(facts.webhooks)
  return [...checks, ...pgNet(facts)]
}

function ownWebhook(facts: PortalFacts): Check[] {
  const { settings } = facts
  const url = settings?.webhookUrl ?? ''
  const title = "The portal's webhook leads to the ingress"
  const place = shown(url)
  const checks = leadsToIngress(url)
    ? [ok('portal.webhook', title, place)]
    : [
        fail(
          'portal.webhook',
          title,
          `the setting WebhookURL is ${place}, which does not end in ${WEBHOOK_ROUTE}`,
          `UPDATE sync.settings SET value = 'https://<the ingress>${WEBHOOK_ROUTE}' WHERE name = 'WebhookURL';`,
        ),
      ]
  const key = "The portal's webhook is signed with a key that the ingress has"
  if (settings?.webhookKey === 'missing')
    checks.push(
      fail(
        'portal.key',
        key,
        'there is no setting WebhookKey: nothing is sent',
        "INSERT INTO sync.settings (name, value) VALUES ('WebhookKey', '<the key in SYNC_WEBHOOK_KEYS>');",
      ),
    )
  else if (settings?.webhookKey === 'other')
    checks.push(
      fail(
        'portal.key',
        key,
        'the setting WebhookKey is none of SYNC_WEBHOOK_KEYS: the ingress answers 401',
        "UPDATE sync.settings SET value = '<the key in SYNC_WEBHOOK_KEYS>' WHERE name = 'WebhookKey';",
      ),
    )
  else checks.push(ok('portal.key', key, 'it is'))
  return [...checks, ...bell(facts, 'ring_webhook')]
}

function dashboard(webhooks: readonly WebhookTrigger[]): Check[] {
  return EVENTS.flatMap(({ table, events }) => {
    const its = webhooks.filter((webhook) => webhook.table === table)
    const title = `A webhook tells of doctors' edits of ${table}`
    const word = `portal.webhook.${table}`
    const make = `Supabase → Database → Webhooks: one on ${table} (${events.join(', ')}), POST, https://<the ingress>${WEBHOOK_ROUTE}, header x-sync-secret with SYNC_WEBHOOK_SECRET.`
    if (its.length === 0)
      return [fail(word, title, 'there is none, neither in the dashboard nor as the setting WebhookURL', make)]
    const heard = new Set(its.filter((webhook) => faultOf(webhook) === null).flatMap((webhook) => webhook.events))
    const unheard = events.filter((event) => !heard.has(event))
    if (unheard.length === 0) return [ok(word, title, its.map(({ name, url }) => `${name}: ${url}`).join(', '))]
    const faults = its.flatMap((webhook) => faultOf(webhook) ?? [])
    const found = [...faults, `${unheard.join(' and ')} ${unheard.length === 1 ? 'is' : 'are'} not told`].join('; ')
    return [fail(word, title, found, make)]
  })
}

/** What keeps a webhook from ringing. */
function faultOf({ name, enabled, method, url, secret }: WebhookTrigger): string | null {
  if (!enabled) return `${name} is switched off`
  if (method !== 'POST') return `${name} sends ${method}`
  if (url === null || !leadsToIngress(url)) return `${name} calls ${url ?? 'no address'}`
  if (secret === 'none') return `${name} sends no x-sync-secret`
  return secret === 'other' ? `${name} sends another secret than SYNC_WEBHOOK_SECRET` : null
}

function pgNet({ pgNet: { installed, answers } }: PortalFacts): Check[] {
  if (!installed)
    return [
      fail(
        'portal.pg_net',
        'pg_net sends the webhooks',
        'it is not installed: nothing is sent',
        'CREATE EXTENSION pg_net;',
      ),
    ]
  const checks = [ok('portal.pg_net', 'pg_net sends the webhooks', 'installed')]
  const [last] = answers ?? []
  if (answers === null || last === undefined) return checks
  const statuses = answers.map(({ status }) => status ?? 'no answer').join(', ')
  const title = "The latest of pg_net's requests were accepted (all of the project's)"
  const word = 'portal.pg_net.answers'
  if (last.status !== null && last.status >= 200 && last.status < 300) return [...checks, ok(word, title, statuses)]
  const todo = 'SELECT status_code, error_msg, created FROM net._http_response ORDER BY created DESC LIMIT 5;'
  return [...checks, warn(word, title, `the latest first: ${statuses}`, todo)]
}
