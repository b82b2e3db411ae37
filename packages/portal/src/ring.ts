import { syncsBack, tables } from '@clinic-sync/mapping'
import type { Rung } from '@clinic-sync/sync'
import { WEBHOOKS } from './inspect-queries.ts'
import type { Database } from './pool.ts'
import { argumentsOf, leadsToIngress, WEBHOOK_ROUTE } from './webhook-trigger.ts'

const NO_NET = 'The extension pg_net is missing: enable it in the dashboard.'
const BACK = tables.filter(syncsBack).map(({ name }) => name)

const refused = (answer: string): Rung => ({ rang: false, answer })
const RANG: Rung = { rang: true, answer: null }

/** Notifies as `sync.ring_listeners` does. */
export async function notify(database: Database): Promise<Rung> {
  const [row] = await database.query(
    "SELECT CASE WHEN pg_notification_queue_usage() < 0.9 THEN pg_notify('sync_queue', '') IS NOT NULL END AS rang",
  )
  return row?.rang === 't'
    ? RANG
    : refused("Postgres' queue of notifications is full: somebody LISTENs in a transaction that does not end.")
}

/**
 * Posts what a change would: through our own trigger's function where it is set up, else what the dashboard's webhooks would send.
 * Writes nothing that syncs. pg_net sends after the commit and keeps the answer to itself, so there is none.
 */
export async function post(database: Database): Promise<Rung> {
  const [own] = await database.query('SELECT sync.try_webhook() AS answer')
  if (own?.answer === 'sent') return RANG
  if (own?.answer === 'no pg_net') return refused(NO_NET)
  if (own?.answer === 'no key') return refused('The setting WebhookKey is not whsec_ and the base64 of 24 to 64 bytes.')
  const hooks = await dashboardWebhooks(database)
  if (hooks.length === 0) {
    return refused(
      `No webhook is set up: neither the settings WebhookURL and WebhookKey of sync.settings, nor one in the dashboard on ` +
        `${BACK.join(' and ')} that sends POST to ${WEBHOOK_ROUTE}.`,
    )
  }
  const [found] = await database.query('SELECT to_regnamespace($1) IS NOT NULL AS has_net', ['net'])
  if (found?.has_net !== 't') return refused(NO_NET)
  for (const { table, name } of hooks) await database.query('SELECT sync.try_dashboard_webhook($1, $2)', [table, name])
  const without = BACK.filter((table) => !hooks.some((hook) => hook.table === table))
  return without.length === 0 ? RANG : { rang: true, answer: `There is no webhook on ${without.join(' and ')}.` }
}

interface Hook {
  readonly table: string
  readonly name: string
}

/** The dashboard's webhooks that lead to an ingress. */
async function dashboardWebhooks(database: Database): Promise<Hook[]> {
  const rows = await database.query(WEBHOOKS, [[...BACK]])
  return rows.flatMap(({ table, name, enabled, arguments: hex }) => {
    const { url, method } = argumentsOf(hex)
    if (enabled !== 'O' && enabled !== 'A') return []
    if (method !== 'POST' || !leadsToIngress(url)) return []
    return { table: table ?? '', name: name ?? '' }
  })
}
