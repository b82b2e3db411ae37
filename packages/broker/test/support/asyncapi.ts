import {
  LeaderAnswer,
  LeaderQuestion,
  OutcomeBatch,
  CountedMinutes,
  PassedRing,
  RowDeleted,
  RowUpserted,
  type Direction,
} from '@clinic-sync/contracts'
import { PARTITIONS } from '@clinic-sync/sync'
import { HEADER } from '../../src/headers.ts'
import { OUTCOMES_TYPE } from '../../src/message.ts'
import {
  brokerDeadKey,
  DEAD,
  deadKey,
  DIRECTIONS,
  discardedKey,
  DISCARDED,
  EVENTS,
  eventKey,
  EXCHANGES,
  LEADER,
  leaderKey,
  OUTCOMES,
  outcomeKey,
  queueDefinitions,
  RETRY,
  RETRY_DELAYS_MS,
  retryKey,
  RINGS,
  UNROUTED,
} from '../../src/topology.ts'

const text = (description: string) => ({ type: 'string', description })
const count = (description: string) => ({ type: 'integer', minimum: 0, description })
const instant = (description: string) => ({ type: 'string', description: `${description} ISO 8601, UTC.` })

/** What each header of ours says. A new one does not compile without its line here. */
const HEADERS: Readonly<Record<keyof typeof HEADER, object>> = {
  attempt: count('Failed attempts so far.'),
  entityKey: text('table/key'),
  version: text("The source's queue id, as digits."),
  firstFailedAt: instant('When it failed first.'),
  replays: count('How often an operator has replayed it.'),
  deadId: { type: 'string', pattern: '^[0-9a-z]{10}$', description: 'Its name for an operator.' },
  direction: { enum: DIRECTIONS, description: 'Which way the event was to travel.' },
  table: text('The table, in the names of the portal.'),
  key: text("The record's key, as digits."),
  errorType: text(
    'Whether it could pass: permanent, transient, parent, bad-message, unexpected, delivery-limit, down.',
  ),
  errorCode: text('A SQLSTATE, an error number of SQL Server, or a code of ours.'),
  errorMessage: text('One sentence: table, column and limit, never a value.'),
  failedAt: instant('When it failed last.'),
  attempts: count('How often it was tried.'),
  sourceQueue: text('The queue that it was taken from.'),
  consumer: text('The process that gave it up.'),
  supersededBy: text('The version of the same record that has succeeded since.'),
  supersededAt: instant('When that was found.'),
  discardedBy: text('Who has given it up.'),
  discardedWhy: text('Why.'),
  discardedAt: instant('When.'),
}
const TRAVELS = ['attempt', 'entityKey', 'version', 'firstFailedAt', 'errorType', 'errorCode', 'replays'] as const
const DISCARDS = ['discardedBy', 'discardedWhy', 'discardedAt'] as const
const namesOf = Object.keys(HEADER) as (keyof typeof HEADER)[]

const headers = (names: readonly (keyof typeof HEADER)[], required: readonly (keyof typeof HEADER)[]) => ({
  type: 'object',
  required: required.map((name) => HEADER[name]),
  properties: Object.fromEntries([
    ...names.map((name) => [HEADER[name], HEADERS[name]]),
    ...['traceparent', 'tracestate'].map((name) => [name, text('W3C trace context, where there is one.')]),
  ]),
})

const plain = (schema: object): object => JSON.parse(JSON.stringify(schema)) as object
const $ref = (path: string) => ({ $ref: `#/${path}` })
const message = (title: string, summary: string, payload: string, type?: string, own?: object) => ({
  title,
  summary,
  contentType: 'application/json',
  ...(own && { headers: own }),
  payload: $ref(`components/schemas/${payload}`),
  ...(type !== undefined && { bindings: { amqp: { messageType: type, bindingVersion: '0.3.0' } } }),
})

const event = headers(TRAVELS, ['attempt', 'entityKey', 'version'])
const dead = headers(
  namesOf.filter((name) => !(DISCARDS as readonly string[]).includes(name)),
  ['deadId', 'direction', 'errorType', 'errorCode', 'errorMessage', 'failedAt', 'attempts'],
)
const MESSAGES = {
  rowUpserted: message('A record is there', 'and looks like this.', 'RowUpserted', 'sync.row.upserted.v1', event),
  rowDeleted: message(
    'A record is gone',
    'at its source, or has left what is synced.',
    'RowDeleted',
    'sync.row.deleted.v1',
    event,
  ),
  outcomes: message('What became of a batch', 'at its target, event for event.', 'OutcomeBatch', OUTCOMES_TYPE),
  deadLetter: message(
    'An event that cannot be applied',
    "The body is the event as it came; the headers say why. Of one that RabbitMQ itself gave up (delivery limit) they are RabbitMQ's.",
    'AnyBody',
    undefined,
    dead,
  ),
  discarded: message(
    'A dead letter that an operator has given up',
    'As it was, with who, why and when.',
    'AnyBody',
    undefined,
    headers(namesOf, ['deadId', ...DISCARDS]),
  ),
  passedRing: message('A side has rung', 'Whoever leads drains its outbox.', 'PassedRing', 'sync.ring.v1'),
  counted: message(
    'What has arrived, by the minute',
    'Said by who settled it, to all others.',
    'CountedMinutes',
    'sync.counted.v1',
  ),
  kept: message(
    'A verification was kept',
    'Said by who was told of it, to all others: they read it again.',
    'AnyBody',
    'sync.kept.v1',
  ),
  question: message('A question to whoever leads', 'Answered to replyTo.', 'LeaderQuestion', 'sync.question.v1'),
  answer: message('Its answer', 'or a word that it is at work.', 'LeaderAnswer', 'sync.answer.v1'),
  token: message('The token of who leads', 'Whoever has it delivered, and not acknowledged, drains.', 'AnyBody'),
} as const
type Message = keyof typeof MESSAGES

interface Channel {
  readonly address: string
  readonly title: string
  readonly messages: readonly Message[]
  readonly exchange: string
}
const EVENT: readonly Message[] = ['rowUpserted', 'rowDeleted']
const both = (name: (direction: Direction) => Channel) => DIRECTIONS.map(name)
const P = '{partition}'

/** What is published where. */
const PUBLISHED: readonly Channel[] = [
  ...both((way) => ({
    address: eventKey(way, P as never),
    title: `Events, ${way}`,
    messages: EVENT,
    exchange: EVENTS,
  })),
  ...both((way) => ({
    address: retryKey(way, P as never, '{retry}' as never),
    title: `Events that wait to be tried again, ${way}`,
    messages: EVENT,
    exchange: RETRY,
  })),
  ...both((way) => ({
    address: outcomeKey(way),
    title: `Outcomes of ${way}`,
    messages: ['outcomes'],
    exchange: OUTCOMES,
  })),
  ...both((way) => ({
    address: deadKey(way),
    title: `Dead letters of ${way}`,
    messages: ['deadLetter'],
    exchange: DEAD,
  })),
  ...both((way) => ({
    address: brokerDeadKey(way),
    title: `What RabbitMQ itself has given up, ${way}`,
    messages: ['deadLetter'],
    exchange: DEAD,
  })),
  { address: discardedKey, title: 'Dead letters that are given up', messages: ['discarded'], exchange: DEAD },
  { address: leaderKey, title: 'The token of who leads', messages: ['token'], exchange: LEADER },
  {
    address: '',
    title: 'What the ingresses say to each other',
    messages: ['passedRing', 'counted', 'question', 'answer'],
    exchange: RINGS,
  },
]

const nameOf = ({ exchange, address }: Channel) =>
  `${exchange}/${address}`.replaceAll(/[^\w.-]+/g, '_').replace(/_$/, '')

function published(channel: Channel): object {
  const { address, title, messages, exchange } = channel
  const { type, ...definition } = EXCHANGES.find(({ name }) => name === exchange) as (typeof EXCHANGES)[number]
  const parameters = {
    ...(address.includes(P) && {
      partition: {
        description: 'By a hash of table/key: the events of one record stay in order.',
        enum: Array.from({ length: PARTITIONS }, (_, partition) => String(partition)),
      },
    }),
    ...(address.includes('{retry}') && {
      retry: {
        description: `Which wait it is: ${RETRY_DELAYS_MS.map((ms) => `${ms / 1000} s`).join(', ')}. Then it is back in its partition.`,
        enum: RETRY_DELAYS_MS.map((_, index) => String(index + 1)),
      },
    }),
  }
  return {
    address,
    title,
    messages: Object.fromEntries(messages.map((name) => [name, $ref(`components/messages/${name}`)])),
    ...(Object.keys(parameters).length > 0 && { parameters }),
    bindings: {
      amqp: {
        is: 'routingKey',
        exchange: { name: exchange, type, durable: true, autoDelete: false, vhost: '/' },
        bindingVersion: '0.3.0',
      },
    },
    ...('alternateExchange' in definition && { 'x-alternate-exchange': definition.alternateExchange }),
  }
}

/** Whose queue it is, by the exchange that it is bound to. */
function heldBy(exchange: string, queue: string): readonly Message[] {
  if (exchange === EVENTS || exchange === RETRY) return EVENT
  if (exchange === OUTCOMES) return ['outcomes']
  if (exchange === LEADER) return ['token']
  return queue === DISCARDED ? ['discarded'] : ['deadLetter']
}

const QUEUES = queueDefinitions(RETRY_DELAYS_MS)
const queueChannel = ({ name, exchange, pattern, options }: (typeof QUEUES)[number]) => ({
  address: name,
  title: exchange === UNROUTED ? 'Dead letters whose routing key led nowhere' : `What ${exchange} sends by ${pattern}`,
  messages: Object.fromEntries(heldBy(exchange, name).map((each) => [each, $ref(`components/messages/${each}`)])),
  bindings: {
    amqp: {
      is: 'queue',
      queue: { name, durable: options.durable, exclusive: false, autoDelete: false, vhost: '/' },
      bindingVersion: '0.3.0',
    },
  },
  'x-bound-to': { exchange, pattern },
  'x-arguments': options.arguments,
})

interface Operation {
  readonly action: 'send' | 'receive'
  readonly channel: string
  readonly summary: string
}
const at = (exchange: string, address: string) => nameOf({ exchange, address, title: '', messages: [] })

/** Who does what: named by the service and what it does. */
const OPERATIONS: Readonly<Record<string, Operation>> = {
  ...Object.fromEntries(
    DIRECTIONS.flatMap((way): [string, Operation][] => [
      [
        `ingress.publish.${way}`,
        {
          action: 'send',
          channel: at(EVENTS, eventKey(way, P as never)),
          summary: 'A drained outbox, confirmed before its rows are Queued.',
        },
      ],
      ...QUEUES.filter(({ exchange, name }) => exchange === EVENTS && name.includes(way)).map(
        ({ name }): [string, Operation] => [
          `${way}.consume.${name}`,
          { action: 'receive', channel: name, summary: 'In batches, by one consumer at a time; others stand by.' },
        ],
      ),
      [
        `${way}.retry`,
        {
          action: 'send',
          channel: at(RETRY, retryKey(way, P as never, '{retry}' as never)),
          summary: 'A failure that may pass.',
        },
      ],
      [`${way}.give-up`, { action: 'send', channel: at(DEAD, deadKey(way)), summary: 'A failure that will not.' }],
      [`${way}.report`, { action: 'send', channel: at(OUTCOMES, outcomeKey(way)), summary: 'What became of a batch.' }],
      [
        `ingress.settle.${way}`,
        {
          action: 'receive',
          channel: `sync.outcomes.${way}`,
          summary: 'Moves the outbox rows on to Synced or Failed.',
        },
      ],
      [
        `ingress.report-rejected.${way}`,
        {
          action: 'receive',
          channel: `sync.rejected.${way}`,
          summary: 'Tells the outbox what RabbitMQ itself has given up.',
        },
      ],
      [
        `operator.dead-letters.${way}`,
        { action: 'receive', channel: `sync.dead.${way}`, summary: 'To look at, replay or discard.' },
      ],
    ]),
  ),
  ...Object.fromEntries(
    DIRECTIONS.map((way): [string, Operation] => [
      `operator.replay.${way}`,
      {
        action: 'send',
        channel: at(EVENTS, eventKey(way, P as never)),
        summary: 'A dead letter goes back to its partition.',
      },
    ]),
  ),
  'operator.discard': { action: 'send', channel: at(DEAD, discardedKey), summary: 'Given up, with who and why.' },
  'ingress.lead': {
    action: 'receive',
    channel: 'sync.leader',
    summary: 'Of several ingresses the one with the token drains.',
  },
  'ingress.pass-on': { action: 'send', channel: at(RINGS, ''), summary: 'To all ingresses; whoever leads acts.' },
}

/** What travels through RabbitMQ, from the schemas of packages/contracts and the topology. */
export function asyncApi(): object {
  const channels: Readonly<Record<string, object>> = {
    ...Object.fromEntries(PUBLISHED.map((channel) => [nameOf(channel), published(channel)])),
    ...Object.fromEntries(QUEUES.map((queue) => [queue.name, queueChannel(queue)])),
  }
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'clinic-sync messages',
      version: '1.0.0',
      license: { name: 'MIT' },
      description:
        "What the services of clinic-sync say to each other through RabbitMQ: events of records, what became of them, and what could not be applied. Exchanges and queues are durable, queues are quorum queues, every publish is confirmed and mandatory. Headers carry names, keys and error numbers, never a column's value; bodies of events carry patients' data. docs/protocol.md says what it all means.",
    },
    defaultContentType: 'application/json',
    servers: {
      rabbitmq: {
        host: '127.0.0.1:5672',
        protocol: 'amqp',
        protocolVersion: '0.9.1',
        description: 'RABBITMQ_URL; amqps for TLS',
      },
    },
    channels,
    operations: Object.fromEntries(
      Object.entries(OPERATIONS).map(([name, { action, channel, summary }]) => [
        name,
        { action, channel: $ref(`channels/${channel}`), summary },
      ]),
    ),
    components: {
      messages: MESSAGES,
      schemas: {
        RowUpserted: plain(RowUpserted),
        RowDeleted: plain(RowDeleted),
        OutcomeBatch: plain(OutcomeBatch),
        PassedRing: plain(PassedRing),
        CountedMinutes: plain(CountedMinutes),
        LeaderQuestion: plain(LeaderQuestion),
        LeaderAnswer: plain(LeaderAnswer),
        AnyBody: { description: 'Carried on byte for byte, whatever it is.' },
      },
    },
  }
}
