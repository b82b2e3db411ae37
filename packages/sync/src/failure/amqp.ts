import { byCode, type FailureRule, rules } from './rule.ts'

const BROKER = { error: 'SYNC_BROKER_DOWN' } as const
const ARGUMENTS = {
  error: 'SYNC_BROKER_DOWN',
  advice:
    'Usually a queue that was declared with other arguments: see the log for its name, empty it and delete it; npm run sync -- migrate broker declares it anew.',
} as const

/**
 * AMQP reply codes (https://www.rabbitmq.com/amqp-0-9-1-reference, section "Constants") and what amqplib says where RabbitMQ gives
 * none, by the beginning of its words. Of RabbitMQ nothing is ever permanent: what it does not take stays in the outbox or in
 * its queue, and is published again.
 */
export const AMQP_RULES: readonly FailureRule[] = rules(
  'down',
  [311, 'the message is too large for RabbitMQ', { error: 'SYNC_PUBLISH_REFUSED' }],
  [312, 'no queue for it', { error: 'SYNC_UNROUTABLE' }],
  [313, 'no consumer for it', { error: 'SYNC_UNROUTABLE' }],
  [320, 'RabbitMQ closes the connection: it stops, or an operator asked for it', BROKER],
  [402, 'there is no such virtual host', BROKER],
  [
    403,
    'RabbitMQ refuses the user, or the user lacks a right',
    {
      error: 'SYNC_BROKER_DOWN',
      advice:
        'Correct user and password in RABBITMQ_URL, and give the user its rights in the virtual host: init makes a definitions file that holds them.',
    },
  ],
  [404, 'a queue or exchange is missing: it is declared again', BROKER],
  [405, 'a queue is held by somebody else', BROKER],
  [406, 'RabbitMQ refuses what was asked of it', ARGUMENTS],
  [501, 'RabbitMQ could not read a frame', BROKER],
  [502, 'RabbitMQ could not read a field', BROKER],
  [503, 'RabbitMQ did not expect a command', BROKER],
  [504, 'a channel was used wrongly', BROKER],
  [505, 'RabbitMQ did not expect a frame', BROKER],
  [506, 'RabbitMQ lacks resources', BROKER],
  [530, 'RabbitMQ does not allow it: no such virtual host, or too many connections or queues', BROKER],
  [540, 'RabbitMQ does not have this function', BROKER],
  [541, 'RabbitMQ has an internal error', BROKER],
  [
    'message nacked',
    'RabbitMQ refused a message: a queue is full, or without a majority of its nodes',
    { error: 'SYNC_PUBLISH_REFUSED' },
  ],
  ['channel closed', 'the channel closed before the answer', BROKER],
  ['Channel ended', 'the channel closed before the answer', BROKER],
  ['Channel closed', 'the channel is closed', BROKER],
  ['Connection closed', 'the connection is closed', BROKER],
  ['Connection closing', 'the connection is closing', BROKER],
  // amqplib keeps the reply code of a connection that is refused so late to itself.
  [
    'Expected ConnectionOpenOk',
    'there is no such virtual host, or the user has no rights in it',
    {
      error: 'SYNC_BROKER_DOWN',
      advice:
        'Make the virtual host that RABBITMQ_URL names, and give the user rights in it; the services go on by themselves.',
    },
  ],
  ['Heartbeat timeout', 'RabbitMQ fell silent', BROKER],
  ['Socket closed abruptly', 'RabbitMQ closed the connection while it was made', BROKER],
  ['Unexpected close', 'the connection was cut', BROKER],
  ['No channels left', 'the connection has no channel left', BROKER],
)

const RULES = byCode(AMQP_RULES)
const BY_WORDS = AMQP_RULES.filter(({ code }) => !/^\d+$/.test(code))
const UNKNOWN: FailureRule = { code: '', failure: 'down', words: 'the connection failed', ...BROKER }

/** What a reply code, or what amqplib says, means. */
export const amqpFailure = (replyCode: number | undefined, said = ''): FailureRule =>
  RULES.get(String(replyCode)) ?? BY_WORDS.find(({ code }) => said.startsWith(code)) ?? UNKNOWN

/** Our codes for what RabbitMQ did not take, or could not: the same publish may succeed later, with nothing to blame in the message. */
export const BROKER_TROUBLE: ReadonlySet<string> = new Set(AMQP_RULES.flatMap(({ error }) => error ?? []))
