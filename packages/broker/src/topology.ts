import type { Channel } from 'amqplib'
import type { Direction } from '@clinic-sync/contracts'
import { PARTITIONS } from '@clinic-sync/sync'

/** Waits before the first, second and third retry of a transient failure. */
export const RETRY_DELAYS_MS: readonly number[] = [5_000, 60_000, 600_000]

export const DIRECTIONS: readonly Direction[] = ['sql-to-postgres', 'postgres-to-sql']

export const EVENTS = 'sync.events'
export const RETRY = 'sync.retry'
export const DEAD = 'sync.dead'
export const OUTCOMES = 'sync.outcomes'
/** Where a dead letter lands whose routing key matches no queue: it is never dropped. Exchange and queue. */
export const UNROUTED = 'sync.dead.unrouted'

const partitions = Array.from({ length: PARTITIONS }, (_, partition) => partition)

export const eventQueue = (direction: Direction, partition: number) => `sync.${direction}.p${partition}`
export const eventQueues = (direction: Direction) => partitions.map((partition) => eventQueue(direction, partition))
export const retryQueue = (retry: number) => `sync.retry.r${retry}`
export const outcomeQueue = (direction: Direction) => `sync.outcomes.${direction}`
export const deadQueue = (direction: Direction) => `sync.dead.${direction}`
/** A second copy of what RabbitMQ itself has dead-lettered: for the ingress, which reports it to the outbox. */
export const rejectedQueue = (direction: Direction) => `sync.rejected.${direction}`
/** Dead letters that an operator has given up, with who and why; and their routing key on the exchange of dead letters. */
export const DISCARDED = 'sync.discarded'
export const discardedKey = 'discarded'
/** Holds the token of who leads among several ingresses (leader.ts). Exchange and queue: nobody needs the default exchange. */
export const LEADER = 'sync.leader'
export const leaderKey = 'token'
/** What alerts have told, for the ingress that leads next (note.ts): a queue that only who sends alerts makes, and its key on `sync.leader`. */
export const NOTE = 'sync.alerts'
export const noteKey = 'alerts'
/** Every ingress hears what is said here, in an exclusive queue of its own (rings.ts). */
export const RINGS = 'sync.rings'

export const eventKey = (direction: Direction, partition: number) => `${direction}.p${partition}`
/** The key that leads to a partition's queue. */
export const keyOfEventQueue = (queue: string) => queue.replace(/^sync[.]/, '')
/** `retry` counts from 1. The key is kept when the time is up, and leads back to the same partition. */
export const retryKey = (direction: Direction, partition: number, retry: number) =>
  `${direction}.p${partition}.r${retry}`
/** Dead letters of the consumer; those of the broker itself (delivery limit) carry `<direction>.broker`. */
export const deadKey = (direction: Direction) => `${direction}.consumer`
export const brokerDeadKey = (direction: Direction) => `${direction}.broker`
export const outcomeKey = (direction: Direction) => `${direction}.batch`

/**
 * Peeking at a dead letter in the management UI counts as a delivery, and RabbitMQ 4 destroys a message after 20 of
 * them unless told otherwise; -1 means unlimited there, but "at once" on 3.10.8. Hence a million. Outcomes get the same: they
 * have no dead-letter exchange, and must never be destroyed; the consumer dead-letters the invalid ones itself.
 */
const NEVER = 1_000_000

/** Deliveries of an event that nobody settles, after which RabbitMQ dead-letters it: a message that crashes its consumer ends so. */
export const DELIVERY_LIMIT = 20

/** What is discarded stays for 49 days: RabbitMQ takes no longer time than 2³² ms. And a hundred thousand of them. */
const DISCARDED_MS = 49 * 24 * 3_600_000
const DISCARDED_LENGTH = 100_000

const quorum = (args: Record<string, unknown>) => ({
  durable: true,
  arguments: { 'x-queue-type': 'quorum', ...args },
})

/** An exchange as it must be. All are durable. */
export interface ExchangeDefinition {
  readonly name: string
  readonly type: 'topic' | 'fanout' | 'direct'
  /** Where goes what no queue is bound for. */
  readonly alternateExchange?: string
}

/** Every exchange, an alternate one before the one that names it. */
export const EXCHANGES: readonly ExchangeDefinition[] = [
  { name: EVENTS, type: 'topic' },
  { name: RETRY, type: 'topic' },
  { name: OUTCOMES, type: 'topic' },
  { name: UNROUTED, type: 'fanout' },
  { name: RINGS, type: 'fanout' },
  { name: LEADER, type: 'direct' },
  { name: DEAD, type: 'topic', alternateExchange: UNROUTED },
]

/** A queue as it must be, and how messages reach it. */
export interface QueueDefinition {
  readonly name: string
  readonly exchange: string
  readonly pattern: string
  readonly options: { readonly durable: boolean; readonly arguments: Readonly<Record<string, unknown>> }
}

/** Every queue, by its arguments: dead letters, retries, then each direction's partitions and outcomes. */
export function queueDefinitions(retryDelaysMs: readonly number[]): readonly QueueDefinition[] {
  return [
    ...DIRECTIONS.map((direction) => ({
      name: deadQueue(direction),
      exchange: DEAD,
      pattern: `${direction}.#`,
      options: quorum({ 'x-delivery-limit': NEVER }),
    })),
    { name: UNROUTED, exchange: UNROUTED, pattern: '', options: quorum({ 'x-delivery-limit': NEVER }) },
    ...DIRECTIONS.map((direction) => ({
      name: rejectedQueue(direction),
      exchange: DEAD,
      pattern: brokerDeadKey(direction),
      options: quorum({ 'x-single-active-consumer': true, 'x-delivery-limit': NEVER }),
    })),
    {
      name: DISCARDED,
      exchange: DEAD,
      pattern: discardedKey,
      options: quorum({
        'x-delivery-limit': NEVER,
        'x-message-ttl': DISCARDED_MS,
        'x-max-length': DISCARDED_LENGTH,
      }),
    },
    {
      name: LEADER,
      exchange: LEADER,
      pattern: leaderKey,
      options: quorum({ 'x-single-active-consumer': true, 'x-delivery-limit': NEVER, 'x-max-length': 1 }),
    },
    ...retryDelaysMs.map((delay, index) => ({
      name: retryQueue(index + 1),
      exchange: RETRY,
      pattern: `*.*.r${index + 1}`,
      options: quorum({
        'x-message-ttl': delay,
        'x-dead-letter-exchange': EVENTS,
        // Without these two, a message whose time is up while its partition is full or unavailable would be dropped.
        'x-dead-letter-strategy': 'at-least-once',
        'x-overflow': 'reject-publish',
      }),
    })),
    ...DIRECTIONS.flatMap((direction) => [
      ...partitions.map((partition) => eventDefinition(direction, partition)),
      {
        name: outcomeQueue(direction),
        exchange: OUTCOMES,
        pattern: `${direction}.#`,
        // One ingress settles, a second one stands by; no limit: a batch of outcomes exists only where an event was.
        options: quorum({ 'x-single-active-consumer': true, 'x-delivery-limit': NEVER }),
      },
    ]),
  ]
}

/** The names of all queues that last. */
export const topologyNames = (): ReadonlySet<string> =>
  new Set(queueDefinitions(RETRY_DELAYS_MS).map(({ name }) => name))

const eventDefinition = (direction: Direction, partition: number): QueueDefinition => ({
  name: eventQueue(direction, partition),
  exchange: EVENTS,
  pattern: `${eventKey(direction, partition)}.#`,
  options: quorum({
    'x-single-active-consumer': true,
    'x-delivery-limit': DELIVERY_LIMIT,
    'x-dead-letter-exchange': DEAD,
    'x-dead-letter-routing-key': brokerDeadKey(direction),
    'x-dead-letter-strategy': 'at-least-once',
    'x-overflow': 'reject-publish',
    'x-max-length': 1_000_000,
  }),
})

/**
 * Declares every exchange, queue and binding; safe to repeat. An existing queue with other arguments is a 406 that
 * closes the channel: give the queue a new name, never other arguments.
 */
export async function declareTopology(channel: Channel, retryDelaysMs: readonly number[]): Promise<void> {
  for (const { name, type, ...rest } of EXCHANGES) await channel.assertExchange(name, type, { durable: true, ...rest })
  for (const { name, exchange, pattern, options } of queueDefinitions(retryDelaysMs)) {
    await channel.assertQueue(name, options)
    await channel.bindQueue(name, exchange, pattern)
  }
}
