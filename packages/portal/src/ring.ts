import { syncsBack, tables } from '@clinic-sync/mapping'
import { DatabaseError, type Rung } from '@clinic-sync/sync'
import { WEBHOOKS } from './inspect-queries.ts'
import type { Database } from './pool.ts'
import { argumentsOf, leadsToIngress, WEBHOOK_ROUTE, type WebhookArguments } from './webhook-trigger.ts'

const POST = 'net.http_post(text,jsonb,jsonb,jsonb,integer)'
/** SQLSTATE invalid_parameter_value: what `sync.sign_webhook` says of a key that is none. */
const NO_KEY = '22023'
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
  const [found] = await database.query(
    `SELECT to_regprocedure($1) IS NOT NULL AS has_net,
      (SELECT count(*) FROM sync.settings WHERE name IN ('WebhookURL', 'WebhookKey') AND btrim(value) <> '') = 2 AS is_set`,
    [POST],
  )
  const isOurs = found?.is_set === 't'
  const hooks = isOurs ? [] : await dashboardWebhooks(database)
  if (!isOurs && hooks.length === 0) {
    return refused(
      `No webhook is set up: neither the settings WebhookURL and WebhookKey of sync.settings, nor one in the dashboard on ` +
        `${BACK.join(' and ')} that sends POST to ${WEBHOOK_ROUTE}.`,
    )
  }
  if (found?.has_net !== 't') return refused('The extension pg_net is missing: enable it in the dashboard.')
  if (isOurs) return postSigned(database)
  for (const { table, url, headers, params, timeout } of hooks) {
    const body = { type: 'UPDATE', table, schema: 'public', record: null, old_record: null }
    await database.query('SELECT net.http_post($1, $2::jsonb, $3::jsonb, $4::jsonb, $5::integer)', [
      url,
      JSON.stringify(body),
      params,
      headers,
      timeout,
    ])
  }
  const without = BACK.filter((table) => !hooks.some((hook) => hook.table === table))
  return without.length === 0 ? RANG : { rang: true, answer: `There is no webhook on ${without.join(' and ')}.` }
}

async function postSigned(database: Database): Promise<Rung> {
  try {
    await database.query('SELECT sync.post_webhook($1, $2)', ['UPDATE', BACK[0]])
    return RANG
  } catch (error) {
    if (!(error instanceof DatabaseError) || error.number !== NO_KEY) throw error
    return refused('The setting WebhookKey is not whsec_ and the base64 of 24 to 64 bytes.')
  }
}

interface Hook extends WebhookArguments {
  readonly table: string
}

/**
 * The dashboard's webhooks that lead to an ingress. Defaults as in `supabase_functions.http_request`: supabase/postgres,
 * init-scripts/…-webhooks.sql.
 */
async function dashboardWebhooks(database: Database): Promise<Hook[]> {
  const given = (text: string, otherwise: string) => (text === '' || text === 'null' ? otherwise : text)
  const rows = await database.query(WEBHOOKS, [[...BACK]])
  return rows.flatMap(({ table, enabled, arguments: hex }) => {
    const { url, method, headers, params, timeout } = argumentsOf(hex)
    if (enabled !== 'O' && enabled !== 'A') return []
    if (method !== 'POST' || !leadsToIngress(url)) return []
    return {
      table: table ?? '',
      url,
      method,
      headers: given(headers, '{"Content-Type": "application/json"}'),
      params: given(params, '{}'),
      timeout: given(timeout, '1000'),
    }
  })
}
