import {
  type BrokerFacts,
  deadQueue,
  DIRECTIONS,
  eventQueues,
  outcomeQueue,
  RETRY_DELAYS_MS,
  retryQueue,
  UNROUTED,
} from '@clinic-sync/broker'
import type { SyncError } from '@clinic-sync/sync'
import { type Check, checksOf, counted } from '../check.ts'

const { ok, warn, fail } = checksOf('broker')

const REACHABLE = 'RabbitMQ answers, and lets us in'

/** The one fail of a RabbitMQ that does not answer. */
export function unreachable(error: SyncError): Check {
  const found = `${error.message.replace(/[.]$/, '')}. Left out: queues, consumers, dead letters.`
  if (error.code === 'SYNC_CONFIG') return fail('reachable', REACHABLE, found, 'Correct RABBITMQ_URL in .env.')
  if (/certificate|altnames/i.test(error.message))
    return fail(
      'reachable',
      REACHABLE,
      found,
      'Write ?cacertfile=<path of the certificate that RabbitMQ is signed with> into RABBITMQ_URL (.env), and the host as the certificate names it.',
    )
  if (/ACCESS.REFUSED/i.test(error.message))
    return fail(
      'reachable',
      REACHABLE,
      found,
      'Correct user, password and virtual host in RABBITMQ_URL (.env), and the rights: rabbitmqctl set_permissions.',
    )
  // amqplib reports the refusal of a virtual host (530) by its place in the handshake alone, which has words of ours.
  if (/NOT.ALLOWED|vhost|virtual host|ConnectionOpenOk/i.test(error.message))
    return fail(
      'reachable',
      REACHABLE,
      found,
      "Correct the virtual host, RABBITMQ_URL's path, or make it: rabbitmqctl add_vhost, then set_permissions for the user.",
    )
  return fail(
    'reachable',
    REACHABLE,
    found,
    'Start RabbitMQ (rabbitmq-server, or docker compose up -d rabbitmq), and see that RABBITMQ_URL has its host and port.',
  )
}

/** Queues, who consumes them, and what waits in them. */
export function brokerChecks(facts: BrokerFacts): Check[] {
  return [
    ok('reachable', REACHABLE, facts.version === null ? 'version unknown' : `RabbitMQ ${facts.version}`),
    ...queueChecks(facts),
    ...consumerChecks(facts),
    ...retryChecks(facts),
    ...deadChecks(facts),
  ]
}

function queueChecks({ queues }: BrokerFacts): Check[] {
  const names = (state: string) => queues.filter((queue) => queue.state === state).map(({ name }) => name)
  const [missing, misfit] = [names('missing'), names('misfit')]
  const checks: Check[] = []
  if (missing.length > 0) {
    const found =
      missing.length === queues.length ? `none of the ${queues.length} is there` : `missing: ${missing.join(', ')}`
    checks.push(
      fail(
        'queues',
        'The queues are there',
        found,
        'npm run sync -- migrate broker declares every queue; the services go on by themselves.',
      ),
    )
  }
  for (const name of misfit)
    checks.push(
      fail(
        `arguments.${name}`,
        `Queue ${name} is as we declare it`,
        'it has other arguments (406 PRECONDITION_FAILED): no service can open it',
        `Let ${name} run empty or move its messages away, delete it in RabbitMQ's management UI, then: npm run sync -- migrate broker`,
      ),
    )
  return checks.length > 0
    ? checks
    : [ok('queues', 'The queues are there, as we declare them', counted(queues.length, 'queue'))]
}

const SERVICES = [
  ...DIRECTIONS.map((direction) => ({ service: direction as string, queues: eventQueues(direction) })),
  { service: 'ingress', queues: DIRECTIONS.map(outcomeQueue) },
]

function consumerChecks({ queues }: BrokerFacts): Check[] {
  return SERVICES.flatMap(({ service, queues: its }) => {
    const found = queues.filter(({ name, state }) => its.includes(name) && state !== 'missing')
    const alone = found.filter(({ consumers }) => consumers === 0)
    const title = `${service} consumes its queues`
    if (found.length === 0) return []
    if (alone.length === 0) return [ok(`consumers.${service}`, title, counted(found.length, 'queue'))]
    const n = alone.reduce((sum, { messages }) => sum + messages, 0)
    return [
      fail(
        `consumers.${service}`,
        title,
        `nobody consumes ${alone.map(({ name }) => name).join(', ')}: it does not run, or waits for its database (${counted(n, 'message')} there)`,
        `Start ${service}; if it runs, its log says what it waits for.`,
      ),
    ]
  })
}

function retryChecks({ queues }: BrokerFacts): Check[] {
  const names = RETRY_DELAYS_MS.map((_, i) => retryQueue(i + 1))
  const found = queues.filter(({ name, state }) => names.includes(name) && state !== 'missing')
  if (found.length === 0) return []
  const n = found.reduce((sum, { messages }) => sum + messages, 0)
  return [ok('retries', 'Messages that wait to be tried again', counted(n, 'message'))]
}

function deadChecks({ queues }: BrokerFacts): Check[] {
  return [...DIRECTIONS.map(deadQueue), UNROUTED].flatMap((name) => {
    const queue = queues.find((each) => each.name === name)
    if (queue === undefined || queue.state === 'missing') return []
    if (queue.messages === 0) return name === UNROUTED ? [] : [ok(`dead.${name}`, `No dead letters in ${name}`, 'none')]
    return [warn(`dead.${name}`, `No dead letters in ${name}`, counted(queue.messages, 'message'), howToGoOn(name))]
  })
}

function howToGoOn(name: string): string {
  const queue = `RabbitMQ's management UI → Queues → ${name}`
  // Nobody's routing key: no row's LastError tells of them.
  if (name === UNROUTED)
    return `${queue} → Get messages: each says where it was bound for. npm run sync -- migrate broker binds every queue; then replay or discard them: npm run sync -- dead-letters list`
  return 'npm run sync -- dead-letters list names them by cause, "show ID" says what to do; correct the cause, then "replay" them, or "discard" what is given up.'
}
