import { deadLetterQueues, inspectBroker, openDeadLetterBox, watchRecord } from '@clinic-sync/broker'
import { openClinic } from '@clinic-sync/clinic'
import { doorbellTestResponseValidator, type Side } from '@clinic-sync/contracts'
import { CANARY, CANARY_KEY } from '@clinic-sync/mapping'
import type { TracePorts } from '@clinic-sync/operations'
import { openPortal } from '@clinic-sync/portal'
import { createLogger, type Environment, readSettings } from '@clinic-sync/runtime'
import { PATIENCE as USUAL, type Patience } from '@clinic-sync/sync'
import { ringIngress } from '../backfill/ring.ts'
import { ingressAddress } from '../ingress-address.ts'
import { askStatus } from '../status/ask.ts'
import { captureFaults } from './captures.ts'

/** How long each may take that is asked why a hop does not come, milliseconds. */
const ASK_MS = 12_000
const RING_MS = 15_000
/** The ingress's own patience is 5 s. */
const TEST_MS = 7_000

/** An operator waits: who does not answer by then is down. */
const PATIENCE: Patience = { ...USUAL, connectMs: 5_000, statementMs: 8_000, answerMs: 10_000 }

export interface OpenedPorts extends TracePorts {
  close(): Promise<void>
}

/** Whom the trace asks, by the settings. @throws SyncError SYNC_CONFIG */
export async function openPorts(environment: Environment): Promise<OpenedPorts> {
  const settings = readSettings(
    ['SQLSERVER_URL', 'POSTGRES_URL', 'RABBITMQ_URL', 'CLINIC_TIME_ZONE', 'INGRESS_URL', 'SYNC_OPERATOR_TOKEN'],
    environment,
  )
  const { RABBITMQ_URL: url, INGRESS_URL: ingress, SYNC_OPERATOR_TOKEN: token } = settings
  const log = createLogger({ name: 'trace', level: 'silent' })
  const clinic = await openClinic({
    url: settings.SQLSERVER_URL,
    timeZone: settings.CLINIC_TIME_ZONE,
    log,
    patience: PATIENCE,
  })
  const portal = await openPortal({ url: settings.POSTGRES_URL, log, patience: PATIENCE })
  return {
    clinic,
    portal,
    watch: (onSight) =>
      watchRecord({ url, log, name: 'trace', table: CANARY, key: CANARY_KEY, onSight, connectMs: 5_000 }),
    queues: async () => (await inspectBroker({ url, connectMs: 5_000 })).queues,
    status: () => askStatus({ url: ingress, token }, new AbortController().signal, ASK_MS),
    ring: (direction) => ringIngress(ingress, token, AbortSignal.timeout(RING_MS), direction),
    testDoorbell: (side) => testDoorbell(ingress, token, side),
    captures: () => captureFaults(environment),
    async removeDeadLetters(direction) {
      const box = await openDeadLetterBox({ url, queues: deadLetterQueues(direction), name: 'trace' })
      try {
        const ours = box.letters.filter(({ about }) => about?.table === CANARY)
        for (const letter of ours) box.remove(letter)
        return ours.length
      } finally {
        await box.close()
      }
    },
    async close() {
      await Promise.all([clinic.close(), portal.close()])
    },
  }
}

async function testDoorbell(ingress: string, token: string, side: Side) {
  const response = await fetch(ingressAddress(ingress, '/api/sync/doorbells/test'), {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ side }),
    signal: AbortSignal.timeout(TEST_MS),
  })
  const body: unknown = await response.json().catch(() => null)
  return response.ok && doorbellTestResponseValidator.Check(body) ? (body[side] ?? null) : null
}
