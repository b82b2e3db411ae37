import type { AlertMessage } from '@clinic-sync/contracts'
import { testReceiver } from '@clinic-sync/dev-services/testing'
import { observers, Senses } from '@clinic-sync/ingress'
import { ALERT_RULES } from '@clinic-sync/operations'
import type { Test } from 'tap'
import { gated } from './gate.ts'
import { world } from './whole-sync.ts'

/** As the services' own times, 20 to 100 times as fast. On a busy machine RabbitMQ's word who leads, and a test's own outage, take seconds. */
const TIMING = { lookMs: 50, askMs: 150, doubtMs: 100, aloneMs: 6_000, standbyMs: 12_000 }
export const QUIET_MS = 500
/** Who connects again after a few seconds' outage does so within this. */
const SETTLE_MS = 8_000
const RULES = {
  ...ALERT_RULES,
  timing: (condition: string) => ({
    holdMs: condition === 'doorbell' ? SETTLE_MS : condition === 'restored' || condition === 'verification' ? 0 : 400,
    quietMs: condition === 'verification' ? 0 : QUIET_MS,
    settleMs: condition === 'stalled' ? SETTLE_MS : 0,
  }),
  gapMs: 1_000,
  flappingMs: 1,
}
const LIMITS = { waiting: 1, held: 5, unattended: 1, unsettled: 2 }

/** The whole sync, and whoever takes its alerts: what stands behind a gate can be shut off. RabbitMQ's is before the ingress alone. */
export async function alertsWorld(t: Test) {
  const here = await world(t)
  const { environment } = here
  const receiver = await testReceiver<AlertMessage>(t)
  const gates = { portal: await gated(t, environment.POSTGRES_URL), rabbit: await gated(t, environment.RABBITMQ_URL) }
  environment.POSTGRES_URL = gates.portal.url

  return {
    ...here,
    receiver,
    gates,
    /** An ingress that alerts. */
    startIngress({ rabbit = gates.rabbit.url, host = 'clinic-host' } = {}) {
      const senses = new Senses()
      return here.startIngress({
        name: host,
        rabbitmqUrl: rabbit,
        observer: observers(undefined, senses.observer),
        more: ({ clinic, portal, broker }) => ({
          bookkeeping: { clinic, portal },
          alerts: {
            url: receiver.url,
            rabbitmqUrl: rabbit,
            broker,
            outboxes: { clinic, portal },
            senses,
            sender: { version: '1.0.0', host },
            memory: broker.note,
            timing: TIMING,
            rules: RULES,
            limits: LIMITS,
            repeat: { min: 200, max: 400 },
            retry: { min: 50, max: 200 },
          },
        }),
      })
    },
    /** `stalled sql-to-postgres problem`, and so on, in order. */
    said: () =>
      receiver.got.map(({ condition, direction, state }) => [condition, direction, state].filter(Boolean).join(' ')),
  }
}
