import { connectBroker } from '@clinic-sync/broker'
import { openClinic } from '@clinic-sync/clinic'
import type { OutcomeBatch } from '@clinic-sync/contracts'
import { runService } from '@clinic-sync/runtime'
import type { Doorbell, Ringer } from '@clinic-sync/sync'
import { once } from 'node:events'
import type { Outbox } from '../src/empty-outbox.ts'
import { serve } from '../src/serve.ts'
import { listening } from './help.ts'
import type { FromService, Step, ToService } from './kill-messages.ts'

/** The ingress as a process of its own. Once armed with a step it kills itself there with SIGKILL. */
let armed: Step | null = null
let go: () => void = () => undefined
const told = new Promise<void>((resolve) => (go = resolve))

const tell = (message: FromService) => process.send?.(message)

process.on('message', (message: ToService) => {
  if ('go' in message) return go()
  armed = message.arm
  tell({ armed })
})

function reached(step: Step): void {
  if (armed !== step) return
  // A second signal would not be waited for.
  armed = null
  process.kill(process.pid, step === 'terminated' ? 'SIGTERM' : 'SIGKILL')
}

const portal: Outbox & Doorbell & Ringer = {
  side: 'portal',
  check: async () => undefined,
  takeChanges: async () => ({ changes: [], rows: 0, locked: 0 }),
  settleChanges: async () => undefined,
  ringDoorbell: () => Promise.reject(new Error('not asked for')),
  waitForChanges: (signal) => once(signal, 'abort').then(() => Promise.reject(signal.reason)),
}

runService({
  name: 'ingress',
  async start({ environment, log, fail }) {
    await told
    const secret = environment['SYNC_WEBHOOK_SECRET'] ?? ''
    const clinic = await openClinic({ url: environment['SQLSERVER_URL'] ?? '', timeZone: 'Asia/Baghdad', log })
    const broker = await connectBroker({ url: environment['RABBITMQ_URL'] ?? '', log, name: 'ingress' })
    const served = await serve({
      clinic: {
        side: 'clinic',
        check: () => clinic.check(),
        waitForChanges: (signal) => clinic.waitForChanges(signal),
        ringDoorbell: () => clinic.ringDoorbell(),
        openTransactions: () => clinic.openTransactions(),
        awaitTransaction: (transaction, signal) => clinic.awaitTransaction(transaction, signal),
        async takeChanges(max, after) {
          const taken = await clinic.takeChanges(max, after)
          if (taken.changes.length > 0) {
            if (after !== undefined) reached('taken-ahead')
            reached('taken')
            const asked = armed === 'terminated' ? once(process, 'SIGTERM') : undefined
            reached('terminated')
            // By then it is stopping, with this page in its hands: on a busy machine the signal may come after the next one.
            await asked?.then(() => new Promise((resolve) => setImmediate(resolve)))
          }
          return taken
        },
        async settleChanges(settlements) {
          await clinic.settleChanges(settlements)
          if (settlements.some(({ outcome }) => outcome === 'queued')) reached('settled')
        },
      },
      portal,
      broker: {
        onReconnect: (listener) => broker.onReconnect(listener),
        state: () => broker.state(),
        standForLead: (candidate) => broker.standForLead(candidate),
        async publishEvents(events) {
          const confirmed = broker.publishEvents(events)
          if (armed === 'sending') setImmediate(() => reached('sending'))
          if (armed === 'published') await new Promise(() => undefined)
          await confirmed
          reached('confirmed')
        },
        consumeOutcomes(direction, handler, options) {
          const watched = async (batches: readonly OutcomeBatch[]) => {
            reached('outcome-received')
            await handler(batches)
            reached('outcome-settled')
          }
          return broker.consumeOutcomes(direction, watched, options)
        },
      },
      log,
      onFatal: fail,
      clinicDoorbell: 'service-broker',
      portalDoorbell: 'webhook',
      ...listening(secret),
    })
    tell({ url: served.url })
    return {
      async close() {
        await served.close()
        await broker.close()
        await clinic.close()
      },
    }
  },
})
