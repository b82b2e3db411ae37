import { connectBroker } from '@clinic-sync/broker'
import type { OutcomeBatch } from '@clinic-sync/contracts'
import { runService } from '@clinic-sync/runtime'
import type { Taken } from '@clinic-sync/sync'
import type { Outbox } from '../src/empty-outbox.ts'
import { serve } from '../src/serve.ts'
import type { FromService, OutboxCall, Step, ToService } from './kill-messages.ts'

/**
 * The ingress as a process of its own, with real RabbitMQ; the clinic's outbox lives in the test, which survives. Once armed
 * with a step it kills itself there with SIGKILL.
 */
let armed: Step | null = null
const answers = new Map<number, (result: unknown) => void>()
let calls = 0

const tell = (message: FromService) => process.send?.(message)

function reached(step: Step): void {
  if (armed !== step) return
  process.kill(process.pid, step === 'terminated' ? 'SIGTERM' : 'SIGKILL')
}

const ask = (method: OutboxCall['method'], argument: unknown) =>
  new Promise((resolve) => {
    answers.set(++calls, resolve)
    tell({ call: { id: calls, method, argument } })
  })

let go: () => void = () => undefined
const told = new Promise<void>((resolve) => (go = resolve))

process.on('message', (message: ToService) => {
  if ('go' in message) go()
  else if ('arm' in message) armed = message.arm
  else answers.get(message.id)?.(message.result)
})

const clinic: Outbox & { waitForChanges: () => Promise<never> } = {
  side: 'clinic',
  check: async () => undefined,
  waitForChanges: () => new Promise<never>(() => undefined),
  async takeChanges(max) {
    const taken = (await ask('takeChanges', max)) as Taken
    if (taken.changes.length > 0) {
      reached('taken')
      reached('terminated')
    }
    return taken
  },
  async settleChanges(settlements) {
    await ask('settleChanges', settlements)
    if (settlements.some(({ outcome }) => outcome === 'queued')) reached('settled')
  },
}

const portal: Outbox = {
  side: 'portal',
  check: async () => undefined,
  takeChanges: async () => ({ changes: [], rows: 0, locked: 0 }),
  settleChanges: async () => undefined,
}

runService({
  name: 'ingress',
  async start({ environment, log, fail }) {
    await told
    const broker = await connectBroker({ url: environment['RABBITMQ_URL'] ?? '', log, name: 'ingress' })
    const served = await serve({
      clinic,
      portal,
      broker: {
        onReconnect: (listener) => broker.onReconnect(listener),
        state: () => broker.state(),
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
      clinicDoorbell: 'http',
      portalDoorbell: 'webhook',
      host: '127.0.0.1',
      port: 0,
      webhookSecret: environment['SYNC_WEBHOOK_SECRET'] ?? '',
      operatorToken: environment['SYNC_WEBHOOK_SECRET'] ?? '',
    })
    tell({ url: served.url })
    return {
      async close() {
        await served.close()
        await broker.close()
      },
    }
  },
})
