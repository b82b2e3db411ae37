import { createHash, randomBytes } from 'node:crypto'
import { BROKER_RIGHTS, type BrokerUser } from './permissions.ts'
import { EXCHANGES, queueDefinitions, RETRY_DELAYS_MS } from './topology.ts'

export interface DefinitionsOptions {
  readonly passwords: Readonly<Record<BrokerUser, string>>
  /** Default `/`. */
  readonly vhost?: string
  /** As the services': fixed once the queues are declared. */
  readonly retryDelaysMs?: readonly number[]
}

/**
 * What RabbitMQ takes as `load_definitions`, or by `rabbitmqctl import_definitions`: the virtual host, the users with what each may
 * do, and the whole topology, so that a broker that lost its disk has its queues back at its start. An object for
 * `JSON.stringify`. Passwords are in it as salted hashes only; the salts are new each time.
 *
 * A node that imports definitions at its first start makes no user `guest`. A password that is changed here is RabbitMQ's after its
 * next start, or import; a user that is taken away here stays until it is deleted there.
 *
 * In a cluster a quorum queue gets the members that are there when it is declared: let RabbitMQ import only when all are
 * (`cluster_formation.target_cluster_size_hint`), or `rabbitmq-queues grow`.
 */
export function rabbitmqDefinitions({ passwords, vhost = '/', retryDelaysMs = RETRY_DELAYS_MS }: DefinitionsOptions) {
  const queues = queueDefinitions(retryDelaysMs)
  return {
    vhosts: [{ name: vhost }],
    users: BROKER_RIGHTS.map(({ user, tags }) => ({
      name: user,
      password_hash: passwordHash(passwords[user]),
      hashing_algorithm: 'rabbit_password_hashing_sha256',
      tags: [...tags],
    })),
    permissions: BROKER_RIGHTS.map(({ user, permissions }) => ({ user, vhost, ...permissions })),
    topic_permissions: BROKER_RIGHTS.flatMap(({ user, topics }) => topics.map((topic) => ({ user, vhost, ...topic }))),
    exchanges: EXCHANGES.map(({ name, type, alternateExchange }) => ({
      name,
      vhost,
      type,
      durable: true,
      auto_delete: false,
      internal: false,
      arguments: alternateExchange === undefined ? {} : { 'alternate-exchange': alternateExchange },
    })),
    queues: queues.map(({ name, options }) => ({ name, vhost, auto_delete: false, ...options })),
    bindings: queues.map(({ name, exchange, pattern }) => ({
      source: exchange,
      vhost,
      destination: name,
      destination_type: 'queue',
      routing_key: pattern,
      arguments: {},
    })),
  }
}

/** https://www.rabbitmq.com/docs/passwords#this-is-the-algorithm: base64 of a salt of 4 bytes and the SHA-256 of salt and password. */
function passwordHash(password: string): string {
  const salt = randomBytes(4)
  const hash = createHash('sha256').update(salt).update(password, 'utf8').digest()
  return Buffer.concat([salt, hash]).toString('base64')
}
