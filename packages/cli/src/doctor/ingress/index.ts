import type { SyncError } from '@clinic-sync/sync'
import { type Check, checksOf } from '../check.ts'
import type { IngressFacts } from './facts.ts'

const { ok, fail } = checksOf('ingress')

const REACHABLE = 'The ingress answers at INGRESS_URL'

/** The one fail of an ingress that does not answer. */
export function unreachable(error: SyncError): Check {
  const found = `${error.message.replace(/[.]$/, '')}. Left out: its secrets, and whether the doorbells are heard.`
  return fail('reachable', REACHABLE, found, 'Start the ingress, or correct INGRESS_URL in .env.')
}

/** What the ingress has, and whether its secrets are these. */
export function ingressChecks(facts: IngressFacts): Check[] {
  if (facts.checks === null)
    return [
      fail(
        'reachable',
        REACHABLE,
        `something else answers at ${facts.url}. Left out: its secrets, and whether the doorbells are heard.`,
        'Correct INGRESS_URL in .env: it is the address at which the ingress says it listens.',
      ),
    ]
  return [ok('reachable', REACHABLE, facts.url), ready(facts.checks), ...secrets(facts)]
}

/** What `/readyz` says of a part with which all is well; of several ingresses one leads, and no database is a restored one. */
const WELL = new Set(['ok', 'leads', 'standby'])
const isWell = (name: string, reason: string) => WELL.has(reason) || (name === 'restored' && reason === 'no')

function ready(checks: Readonly<Record<string, string>>): Check {
  const title = 'The ingress has what it needs'
  const not = Object.entries(checks).filter(([name, reason]) => !isWell(name, reason))
  if (not.length === 0) return ok('ready', title, Object.keys(checks).join(', '))
  return fail(
    'ready',
    title,
    not.map(([name, reason]) => `${name}: ${reason.replace(/[.]$/, '')}`).join('; '),
    'Do first what else fails here: the ingress comes back by itself. If nothing else does, restart it; its log says why.',
  )
}

function secrets({ notified, tested }: IngressFacts): Check[] {
  return [
    ...(notified === null ? [] : [secret('SYNC_WEBHOOK_SECRET', 'webhook-secret', notified)]),
    ...(tested === null ? [] : [secret('SYNC_OPERATOR_TOKEN', 'operator-token', tested)]),
  ]
}

function secret(name: string, word: string, status: number): Check {
  const title = `The ingress accepts this ${name}`
  if (status === 401)
    return fail(
      word,
      title,
      'it was started with another',
      `Set ${name} to the same value here and where the ingress runs, then restart the ingress.`,
    )
  if (status >= 200 && status < 300) return ok(word, title, 'accepted')
  return fail(
    word,
    title,
    `it answered HTTP ${status}: it is of another version than this command`,
    'Restart the ingress from this version.',
  )
}
