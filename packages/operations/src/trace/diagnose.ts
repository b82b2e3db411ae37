import { outcomeQueue, type QueueFacts } from '@clinic-sync/broker'
import { type Direction, type Side, sourceOf, type SyncStatus } from '@clinic-sync/contracts'
import { ADVICE, SyncError } from '@clinic-sync/sync'
import type { TracePorts } from './types.ts'
import { consumerOf, type Diagnosis, ofError, otherSide, queueOf, SERVER, sentence } from './words.ts'

/** What the answer was, or the error. */
async function asked<T>(ask: () => Promise<T>): Promise<{ readonly facts: T } | { readonly error: unknown }> {
  try {
    return { facts: await ask() }
  } catch (error) {
    return { error }
  }
}

const messageOf = (error: unknown): string =>
  error instanceof SyncError ? sentence(error.message) : 'It cannot be asked.'

/** Why the ingress, by its own words, sends nothing of a side's; null: it says that it does. */
export async function ingressFault(ports: TracePorts, side: Side): Promise<Diagnosis | null> {
  const found = await asked(() => ports.status())
  if ('error' in found) return { kind: 'ingress-unreachable', what: messageOf(found.error), todo: ADVICE.SYNC_INGRESS }
  return ofStatus(found.facts, side)
}

function ofStatus({ ingress }: SyncStatus, side: Side): Diagnosis | null {
  if (!ingress.reachable)
    return { kind: 'ingress-unreachable', what: sentence(ingress.reason), todo: ADVICE.SYNC_INGRESS }
  const { lacks, leader, lead } = ingress
  const restored = lacks.find(({ name }) => name === 'restored')
  if (restored !== undefined) return { kind: 'restored', what: sentence(restored.reason), todo: ADVICE.SYNC_RESTORED }
  if (leader === null && lead !== 'leads')
    return { kind: 'no-leader', what: 'No ingress leads, so none drains the outboxes.', todo: ADVICE.SYNC_NO_LEADER }
  const other = otherSide(side)
  const missed = lacks.filter(({ name }) => !name.startsWith(other) && !name.endsWith('-doorbell'))
  if (missed.length === 0) return null
  return {
    kind: 'ingress-lacks',
    what: `The ingress lacks ${missed.map(({ name, reason }) => `${name} (${reason.replace(/\.$/, '')})`).join(' and ')}.`,
    todo: 'It tries again by itself once that is cured: see its log, and `npm run sync -- doctor`.',
  }
}

/** Why an event that is in RabbitMQ is not applied. */
export async function unapplied(ports: TracePorts, direction: Direction): Promise<Diagnosis> {
  const target = otherSide(sourceOf(direction))
  const service = consumerOf(direction)
  const usable = await asked(() => ports[target].check())
  const queues = await asked(() => ports.queues())
  if ('error' in usable) {
    const { kind, what, todo } = ofError(usable.error, target)
    return {
      kind: kind === 'database-unreachable' ? 'consumer-paused' : kind,
      what: `${what} ${service} waits until that is over.`,
      todo,
    }
  }
  if ('error' in queues)
    return { kind: 'broker-unreachable', what: messageOf(queues.error), todo: ADVICE.SYNC_BROKER_DOWN }
  const queue = queues.facts.find(({ name }) => name === queueOf(direction))
  if (queue === undefined || queue.state === 'missing') return missing(queueOf(direction))
  if (queue.consumers === 0)
    return {
      kind: 'consumer-down',
      what: `Nobody takes the events ${direction}: ${queue.name} has no consumer, ${messages(queue)} in it.`,
      todo: `Start ${service}, or see its log: it also stops taking while it cannot use ${SERVER[target]} itself (its URL, its login, the network between them).`,
    }
  if (queue.messages > 0)
    return {
      kind: 'consumer-behind',
      what: `${queue.name} holds ${messages(queue)} that ${service} has not taken yet: the canary is among them.`,
      todo: `\`npm run sync -- status --watch\` shows whether they become fewer. If not, see the log of ${service}.`,
    }
  return {
    kind: 'consumer-holds',
    what: `${service} has taken the event, and neither applied nor refused it.`,
    todo: `See its log: it holds a batch while ${SERVER[target]} fails it, and gives it back by itself.`,
  }
}

/** Why an outcome does not become the outbox row's status. */
export async function unsettled(ports: TracePorts, direction: Direction): Promise<Diagnosis> {
  const source = sourceOf(direction)
  const queues = await asked(() => ports.queues())
  if ('facts' in queues) {
    const queue = queues.facts.find(({ name }) => name === outcomeQueue(direction))
    if (queue === undefined || queue.state === 'missing') return missing(outcomeQueue(direction))
    if (queue.consumers === 0 || queue.messages > 0) {
      const why = await ingressFault(ports, source)
      const what = `Nobody settles the outcomes ${direction}: ${queue.name} has ${queue.consumers === 0 ? 'no consumer' : `${messages(queue)} waiting`}.`
      return why === null
        ? {
            kind: 'not-settled',
            what,
            todo: `See the log of the ingress: it stops while it cannot use ${SERVER[source]}.`,
          }
        : { ...why, what: `${what} ${why.what}` }
    }
  }
  const why = await ingressFault(ports, source)
  if (why !== null) return { ...why, what: `It was applied, and nobody says so in the ${source}'s outbox. ${why.what}` }
  return {
    kind: 'not-settled',
    what: `It was applied, and its row in the ${source}'s outbox does not say so.`,
    todo: 'See the log of the ingress, and `npm run sync -- doctor`.',
  }
}

const messages = ({ messages }: QueueFacts): string => `${messages} ${messages === 1 ? 'message' : 'messages'}`

const missing = (queue: string): Diagnosis => ({
  kind: 'queue-missing',
  what: `RabbitMQ has no queue ${queue}.`,
  todo: ADVICE.SYNC_UNROUTABLE,
})
