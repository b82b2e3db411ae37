import {
  DEAD,
  DIRECTIONS,
  DISCARDED,
  discardedKey,
  EVENTS,
  LEADER,
  NOTE,
  OUTCOMES,
  RETRY,
  RINGS,
  UNROUTED,
} from './topology.ts'

/** Who connects to RabbitMQ: each service as itself, and the commands and whoever opens the management UI as `operator`. */
export const BROKER_USERS = ['ingress', 'sql-to-postgres', 'postgres-to-sql', 'operator'] as const
export type BrokerUser = (typeof BROKER_USERS)[number]

/** What a user may do in a virtual host. Regular expressions on the names of queues and exchanges; RabbitMQ does not anchor them. */
export interface Permissions {
  /** Declare and delete. */
  readonly configure: string
  /** Publish to an exchange; bind a queue. */
  readonly write: string
  /** Consume, get and purge a queue; bind to an exchange. */
  readonly read: string
}

/** Which routing keys a user may publish to a topic exchange with (`write`), and bind (`read`). */
export interface TopicPermissions {
  readonly exchange: string
  readonly write: string
  readonly read: string
}

export interface UserRights {
  readonly user: BrokerUser
  /** RabbitMQ's tags: what the management UI and its API show. */
  readonly tags: readonly string[]
  readonly permissions: Permissions
  /** An exchange that is not named here knows no limit but `permissions`. */
  readonly topics: readonly TopicPermissions[]
}

const literal = (name: string) => name.replaceAll('.', '[.]')
/** These names, whole. */
const names = (...patterns: readonly string[]) => (patterns.length === 0 ? '^$' : `^(${patterns.join('|')})$`)
const NOTHING = names()

const anyDirection = `(${DIRECTIONS.join('|')})`
const partition = 'p[0-9]+'
/** Queues that an ingress makes for its connection alone: what the others say, what outcomes there are, and the lock on the dead letters. */
const inboxes = `${literal(RINGS)}[.][0-9a-f-]+`
const watches = `${literal(OUTCOMES)}[.]watch[.][0-9a-f-]+`
const DEAD_LOCK = literal('sync.dead.lock')

/**
 * It publishes the events of both directions, since it drains both outboxes; it takes outcomes, or listens to them while another ingress takes
 * them; it looks after the dead letters, and replays and discards them for the operator at the status page; and it talks with other
 * ingresses. It reads no event that is on its way, and makes none of the lasting queues but the one that keeps what its alerts have told.
 *
 * It counts what each queue holds, which RabbitMQ 4.3 grants only to who has a right on the queue: `write` is the least, and means that it could
 * bind the queue to `sync.rings`, where nobody but an ingress speaks.
 */
const ingress: UserRights = {
  user: 'ingress',
  tags: [],
  permissions: {
    configure: names(inboxes, watches, DEAD_LOCK, literal(NOTE)),
    write: names(
      ...[EVENTS, OUTCOMES, DEAD, RINGS, LEADER, DISCARDED, NOTE].map(literal),
      inboxes,
      watches,
      `sync[.]${anyDirection}[.]${partition}`,
      'sync[.]retry[.]r[0-9]+',
    ),
    read: names(
      literal(RINGS),
      inboxes,
      literal(OUTCOMES),
      watches,
      literal(LEADER),
      literal(NOTE),
      literal(UNROUTED),
      `sync[.](outcomes|rejected|dead)[.]${anyDirection}`,
    ),
  },
  topics: [
    { exchange: EVENTS, write: `^${anyDirection}[.]${partition}$`, read: NOTHING },
    { exchange: OUTCOMES, write: `^${anyDirection}[.]batch$`, read: `^${anyDirection}[.]#$` },
    { exchange: DEAD, write: `^(${anyDirection}[.]consumer|${discardedKey})$`, read: NOTHING },
  ],
}

/** It takes its own direction's events, and publishes what became of them: outcomes, retries, dead letters, and again itself. */
const consumer = (direction: (typeof DIRECTIONS)[number]): UserRights => ({
  user: direction,
  tags: [],
  permissions: {
    configure: NOTHING,
    write: names(...[EVENTS, RETRY, OUTCOMES, DEAD].map(literal)),
    read: names(`sync[.]${direction}[.]${partition}`),
  },
  topics: [
    { exchange: EVENTS, write: `^${direction}[.]${partition}$`, read: NOTHING },
    { exchange: RETRY, write: `^${direction}[.]${partition}[.]r[0-9]+$`, read: NOTHING },
    { exchange: OUTCOMES, write: `^${direction}[.]batch$`, read: NOTHING },
    { exchange: DEAD, write: `^${direction}[.]consumer$`, read: NOTHING },
  ],
})

/** It declares everything, replays and discards dead letters, and sees RabbitMQ's state in the management UI. */
const operator: UserRights = {
  user: 'operator',
  tags: ['monitoring'],
  permissions: { configure: '^sync[.]', write: '^sync[.]', read: '^sync[.]' },
  topics: [],
}

/** What each user may do, and nothing else: no other virtual host, no `amq.*` exchange, not the default exchange. */
export const BROKER_RIGHTS: readonly UserRights[] = [ingress, ...DIRECTIONS.map(consumer), operator]
