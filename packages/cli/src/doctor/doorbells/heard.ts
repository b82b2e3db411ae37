import type { DoorbellTest, Side } from '@clinic-sync/contracts'
import type { Settings } from '@clinic-sync/runtime'
import { type Check, checksOf } from '../check.ts'

const { ok, fail } = checksOf('doorbells')

/**
 * Whether a real ring was heard by the ingress.
 *
 * @param set the doorbell that is set here.
 * @param explained whether something else fails that keeps this side from ringing.
 */
export function heardCheck(
  side: Side,
  test: DoorbellTest,
  set: Settings['CLINIC_DOORBELL' | 'PORTAL_DOORBELL'],
  explained = false,
): Check[] {
  const title = `The ${side}'s doorbell is rung and heard`
  const word = `${side}.heard`
  if (test.doorbell !== set)
    return [
      fail(
        `${side}.started`,
        `The ingress listens for the ${side}'s doorbell that is set`,
        `it was started with ${test.doorbell}, ${side.toUpperCase()}_DOORBELL is ${set}`,
        `Restart the ingress with ${side.toUpperCase()}_DOORBELL=${set}.`,
      ),
    ]
  if (test.heard) return [ok(word, title, `in ${test.ms ?? 0} ms (${set})`)]
  const found = test.message ?? 'it was not heard'
  if (set === 'none') return []
  if (set === 'http') return [ok(word, title, `not rung from here: ${found}`)]
  return [
    fail(
      word,
      title,
      found,
      explained ? `Do first what else fails of the ${side}, its doorbell and RabbitMQ.` : cureOf(set),
    ),
  ]
}

function cureOf(set: string): string {
  switch (set) {
    case 'service-broker':
      return 'npm run sync -- doorbell, then restart the ingress.'
    case 'ole-automation':
      return 'In SSMS: EXEC sp_NotifyAppOfSync; says what happens. Then npm run sync -- doorbell'
    case 'rest-endpoint':
      return 'In SSMS: EXEC sync.NotifyAppByRest; says what happens. Then npm run sync -- doorbell'
    case 'listen':
      return 'See that POSTGRES_URL has port 5432, then restart the ingress.'
    default:
      return 'SELECT status_code, error_msg, created FROM net._http_response ORDER BY created DESC LIMIT 5; says what the receiver answered.'
  }
}
