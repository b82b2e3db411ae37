import { BROKER_USERS, type BrokerUser, rabbitmqDefinitions } from '@clinic-sync/broker'
import { passwordOf, userOf, withLogin, withParameters } from './addresses.ts'
import type { SecretFile, Secrets } from './layout.ts'
import { knownUrl } from './previous.ts'
import type { Scratch } from './scratch.ts'
import { newPassword } from './secrets.ts'
import { refusal, type Session } from './session.ts'
import { certificateIn } from './trust.ts'

/** Whose address is in which file. */
const FILES = {
  operator: 'rabbitmq_url',
  ingress: 'rabbitmq_url_ingress',
  'sql-to-postgres': 'rabbitmq_url_sql_to_postgres',
  'postgres-to-sql': 'rabbitmq_url_postgres_to_sql',
} as const satisfies Record<BrokerUser, SecretFile>

/** Where RabbitMQ is in docker-compose.yml. */
const IN_COMPOSE = 'amqp://rabbitmq:5672'

type BrokerSecrets = Pick<Secrets, (typeof FILES)[BrokerUser] | 'rabbitmq_definitions.json'>

/** The name of RabbitMQ's certificate in `secrets/ca`. */
export const BROKER_CERTIFICATE = 'rabbitmq.crt'

/** Where RabbitMQ is, as the services use it, and the certificate to trust for it (PEM; null: those that everybody knows). */
export interface BrokerAddress {
  readonly url: string
  readonly pem: string | null
}

/** Asks where RabbitMQ is, unless it is Docker Compose's. Without a user. @throws SyncError */
export async function brokerAddress(
  session: Session,
  scratch: Scratch,
  run: 'docker' | 'node',
): Promise<BrokerAddress> {
  const url = await addressOf(session, scratch, run)
  const pem = certificateIn(url, 'cacertfile', '--rabbitmq')
  return { url: pem === null ? url : withParameters(url, { cacertfile: `ca/${BROKER_CERTIFICATE}` }), pem }
}

async function addressOf(
  { options, previous, ask }: Session,
  scratch: Scratch,
  run: 'docker' | 'node',
): Promise<string> {
  const check = (text: string): string | null => {
    if (!URL.canParse(text) || !/^amqps?:$/.test(new URL(text).protocol))
      return 'It is an address such as amqp://localhost:5672.'
    return new URL(text).username === '' && new URL(text).password === ''
      ? null
      : 'It names no user: each service gets its own.'
  }
  const before = knownUrl(scratch, previous.secret('rabbitmq_url'))
  const known = before !== undefined && !before.includes('@rabbitmq:') ? withoutLogin(before) : undefined
  if (options.rabbitmq !== undefined) {
    const wrong = check(options.rabbitmq)
    if (wrong !== null) throw refusal(`--rabbitmq will not do: ${wrong}`)
    return options.rabbitmq
  }
  if (run === 'docker') return IN_COMPOSE
  if (ask === null) return known ?? 'amqp://localhost:5672'
  return ask.text('RabbitMQ’s address, without a user', known ?? 'amqp://localhost:5672', check)
}

const withoutLogin = (url: string) => withLogin(url, '', '').replace('//:@', '//')

/**
 * Each user's address, and what RabbitMQ loads at its start: the users with their rights, and the queues. Passwords of an earlier run
 * stay unless new ones are wanted.
 */
export function brokerSecrets({ options, previous }: Session, address: string): BrokerSecrets {
  const passwords = Object.fromEntries(
    BROKER_USERS.map((user) => {
      const before = previous.secret(FILES[user])
      const kept = before !== undefined && URL.canParse(before) && userOf(before) === user ? passwordOf(before) : ''
      return [user, options.newSecrets === true || kept === '' ? newPassword() : kept]
    }),
  ) as Record<BrokerUser, string>
  const vhost = decodeURIComponent(new URL(address).pathname.slice(1)) || '/'
  const urls = Object.fromEntries(
    BROKER_USERS.map((user) => [FILES[user], withLogin(address, user, passwords[user])]),
  ) as Record<(typeof FILES)[BrokerUser], string>
  return { ...urls, 'rabbitmq_definitions.json': JSON.stringify(rabbitmqDefinitions({ passwords, vhost }), null, 2) }
}
