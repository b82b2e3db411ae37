import { SyncError } from '@clinic-sync/sync'
import { type Channel, type ChannelModel, connect } from 'amqplib'
import { brokerAddress } from './address.ts'
import { watchAnswers } from './answers.ts'
import type { Log } from './api.ts'
import { attempt } from './attempt.ts'
import { reasonOf } from './errors.ts'
import { declareTopology, EXCHANGES, queueDefinitions, RETRY_DELAYS_MS } from './topology.ts'
import { within } from './wait.ts'

const REFUSED = 403
const MISSING = 404
const CLOSE_MS = 1_000

/**
 * Sees to it that the topology is there, before a channel is used. A login that may declare declares it; a service's own, which
 * may not, looks whether exchanges and queues are there, as far as it may: a passive declaration needs no right up to RabbitMQ 4.0, and
 * any one right on what is looked at in 4.3. Whether a queue is bound nobody can look up over AMQP: what is published is
 * `mandatory`, and comes back as SYNC_UNROUTABLE where it is not, or where the queue is missing that could not be looked at.
 */
export class Topology {
  readonly #retryDelaysMs: readonly number[]
  readonly #log: Pick<Log, 'debug'>
  /** Once refused it is not tried each time: RabbitMQ writes each refusal into its log. */
  #mayDeclare = true
  /** What this login may not look at: for the same reason. */
  readonly #hidden = new Set<string>()

  constructor(retryDelaysMs: readonly number[], log: Pick<Log, 'debug'>) {
    this.#retryDelaysMs = retryDelaysMs
    this.#log = log
  }

  /** @throws SyncError SYNC_BROKER_UNPREPARED; else what amqplib throws */
  async prepare(model: ChannelModel): Promise<void> {
    if (this.#mayDeclare) {
      const declare = (channel: Channel) => declareTopology(channel, this.#retryDelaysMs)
      if ('answer' in (await attempt(model, declare, REFUSED))) return
      this.#mayDeclare = false
      this.#log.debug({}, 'this login may not declare queues: it looks whether they are there')
    }
    const missing = await missingFrom(model, this.#retryDelaysMs, this.#hidden)
    if (missing.length === 0) return
    // Somebody at work on the queues may be at work on the rights too.
    this.#mayDeclare = true
    this.#hidden.clear()
    throw unprepared(missing)
  }
}

const unprepared = (missing: readonly string[]) =>
  new SyncError(
    'SYNC_BROKER_UNPREPARED',
    `RabbitMQ has no ${missing.join(', ')}, and this login may not make ${missing.length === 1 ? 'it' : 'them'}`,
  )

/**
 * The exchanges and queues that are not there.
 *
 * @param hidden those that this login may not look at: passed over, and what else is refused is added
 */
async function missingFrom(
  model: ChannelModel,
  retryDelaysMs: readonly number[],
  hidden: Set<string>,
): Promise<readonly string[]> {
  const all: readonly (readonly [string, (channel: Channel) => Promise<unknown>])[] = [
    ...EXCHANGES.map(({ name }) => [`exchange ${name}`, (channel: Channel) => channel.checkExchange(name)] as const),
    ...queueDefinitions(retryDelaysMs).map(
      ({ name }) => [`queue ${name}`, (channel: Channel) => channel.checkQueue(name)] as const,
    ),
  ]
  const looks = all.filter(([name]) => !hidden.has(name))
  const missing: string[] = []
  for (let next = 0; next < looks.length; next++) {
    const lookOn = async (channel: Channel) => {
      for (; next < looks.length; next++) await looks[next]?.[1](channel)
    }
    // The first that is missing, or refused, closes the channel.
    const found = await attempt(model, lookOn, MISSING, REFUSED)
    if ('answer' in found) break
    const name = looks[next]?.[0] ?? ''
    if (found.refused === MISSING) missing.push(name)
    else hidden.add(name)
  }
  return missing
}

export interface DeclareBrokerOptions {
  /** Of a login that may declare: the operator's. */
  readonly url: string
  readonly retryDelaysMs?: readonly number[]
  /** For the connection, milliseconds. */
  readonly connectMs?: number
}

/** What `declareBroker` found. */
export interface DeclaredBroker {
  /** Exchanges and queues that it has made, such as `queue sync.dead.sql-to-postgres`. */
  readonly made: readonly string[]
  /** False: the login is a service's own. All that it may look at are there; their arguments and bindings were not looked at. */
  readonly mayDeclare: boolean
  /** How many there are now, of those that the login may look at. */
  readonly total: number
}

/**
 * Declares exchanges, queues and bindings, and says which were not there; safe to repeat. With `dryRun` it only looks.
 *
 * @throws SyncError SYNC_BROKER_UNPREPARED: something is missing, and the login may not declare; SYNC_BROKER_DOWN, in RabbitMQ's or the
 *   socket's words, without the URL: not reachable, or a queue is there with other arguments.
 */
export async function declareBroker(options: DeclareBrokerOptions & { dryRun?: boolean }): Promise<DeclaredBroker> {
  const { url, retryDelaysMs = RETRY_DELAYS_MS, connectMs = 8_000, dryRun = false } = options
  const address = brokerAddress(url)
  let model: ChannelModel | undefined
  let watched: (() => void) | undefined
  let silence: unknown
  try {
    model = await connect(address.url, {
      ...address.tls,
      timeout: connectMs,
      clientProperties: { connection_name: 'clinic-sync migrate' },
    })
    model.on('error', (error: unknown) => {
      silence = error
    })
    const { stream } = model.connection as unknown as { readonly stream: { destroy(error: Error): void } }
    watched = watchAnswers(model, { onSilent: (error) => stream.destroy(error) })
    const hidden = new Set<string>()
    const made = await missingFrom(model, retryDelaysMs, hidden)
    const declare = (channel: Channel) => declareTopology(channel, retryDelaysMs)
    const mayDeclare = dryRun || 'answer' in (await attempt(model, declare, REFUSED))
    if (!mayDeclare && made.length > 0) throw unprepared(made)
    return { made, mayDeclare, total: EXCHANGES.length + queueDefinitions(retryDelaysMs).length - hidden.size }
  } catch (cause) {
    if (cause instanceof SyncError) throw cause
    throw new SyncError('SYNC_BROKER_DOWN', `RabbitMQ: ${reasonOf(silence ?? cause)}`, { cause: silence ?? cause })
  } finally {
    watched?.()
    if (model !== undefined) await within(CLOSE_MS, model.close())
  }
}
