import type { Observer } from '@clinic-sync/sync'
import { Counter, Gauge, type Registry } from 'prom-client'
import { codeLabels, typeLabel } from './labels.ts'

const STATES = ['connecting', 'consuming', 'paused', 'closed'] as const
const FAILURES = ['transient', 'parent', 'permanent', 'down'] as const

/** What every service has: connections, consumers, failures. */
export function brokerMetrics(register: Registry): Observer {
  const registers = [register]
  const reconnections = new Counter({
    name: 'clinic_sync_broker_reconnections_total',
    help: 'Connections to RabbitMQ that were made again after one was lost.',
    labelNames: ['connection'],
    registers,
  })
  const states = new Gauge({
    name: 'clinic_sync_consumer_state',
    help: '1 for the state that a consumer is in: connecting, consuming, paused (its database is down) or closed.',
    labelNames: ['direction', 'messages', 'state'],
    registers,
  })
  const databaseErrors = new Counter({
    name: 'clinic_sync_database_errors_total',
    help: 'Calls that a database refused or failed, by what the failure means for the work.',
    labelNames: ['side', 'class'],
    registers,
  })
  const retries = new Counter({
    name: 'clinic_sync_retries_total',
    help: 'Messages that went into a retry queue, by the type of their failure.',
    labelNames: ['direction', 'type'],
    registers,
  })
  const deadLetters = new Counter({
    name: 'clinic_sync_dead_letters_total',
    help: 'Messages that went into a dead-letter queue, by SQLSTATE, error number or SYNC_ code.',
    labelNames: ['direction', 'code'],
    registers,
  })
  const codeLabel = codeLabels()
  for (const connection of ['publishing', 'consuming']) reconnections.inc({ connection }, 0)
  for (const side of ['clinic', 'portal'])
    for (const failure of FAILURES) databaseErrors.inc({ side, class: failure }, 0)
  return {
    reconnected: (connection) => reconnections.inc({ connection }),
    consumer(direction, messages, now) {
      for (const state of STATES) states.set({ direction, messages, state }, state === now ? 1 : 0)
    },
    databaseFailed: (side, failure) => databaseErrors.inc({ side, class: failure }),
    retried: (direction, type) => retries.inc({ direction, type: typeLabel(type) }),
    died: (direction, code) => deadLetters.inc({ direction, code: codeLabel(code) }),
  }
}
