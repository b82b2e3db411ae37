import {
  type BrokerManagement,
  brokerManagement,
  inspectBroker,
  queueDefinitions,
  RETRY_DELAYS_MS,
} from '@clinic-sync/broker'
import { SyncError } from '@clinic-sync/sync'
import { json, type Missing, needed, type Part, reasonOf } from './part.ts'

/** Each queue as it should be and as it is; its arguments and policies as RabbitMQ's management API has them, where that answers. */
export const brokerPart: Part = {
  what: 'rabbitmq.json',
  patienceMs: 20_000,
  async collect({ settings }) {
    const url = needed(settings, 'RABBITMQ_URL').RABBITMQ_URL
    const management: Promise<BrokerManagement | Missing> = brokerManagement(url).catch((error: unknown) => ({
      what: "queues' arguments and policies, as RabbitMQ has them",
      why: `${error instanceof SyncError ? sentence(error.message) : reasonOf(error)} Whether each queue is as it should be is in rabbitmq.json all the same.`,
    }))
    const { queues, version } = await inspectBroker({ url })
    const told = await management
    const has = 'queues' in told ? told : null
    const wanted = new Map(queueDefinitions(RETRY_DELAYS_MS).map(({ name, options }) => [name, options.arguments]))
    const text = json({
      version,
      note: 'state: ok, missing, or misfit (declared with other arguments than should)',
      queues: queues.map((queue) => ({
        ...queue,
        should: wanted.get(queue.name) ?? null,
        has: has?.queues.get(queue.name) ?? null,
      })),
      policies: has?.policies ?? null,
      operatorPolicies: has?.operatorPolicies ?? null,
      alarms: has?.alarms ?? null,
    })
    const about =
      "every queue's arguments and policies, as they are and as they should be; users and passwords are not asked for"
    return { entries: [{ path: 'rabbitmq.json', about, text }], missing: 'why' in told ? [told] : [] }
  },
}

const sentence = (text: string) => text.replace(/[.]?$/, '.')
