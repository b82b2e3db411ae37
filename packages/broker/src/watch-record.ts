import { randomUUID } from 'node:crypto'
import type { Channel, ConsumeMessage } from 'amqplib'
import { type Direction, type Key, type Outcome, type Version } from '@clinic-sync/contracts'
import { partitionOf, SyncError } from '@clinic-sync/sync'
import type { BrokerOptions } from './api.ts'
import { keepChannel, type Watched } from './channel.ts'
import { Connection } from './connection.ts'
import { HEADER, headersOf } from './headers.ts'
import { decodeOutcomes } from './message.ts'
import { DIRECTIONS, eventKey, EVENTS, OUTCOMES } from './topology.ts'
import { within } from './wait.ts'

/** What was seen of a record on its way: its event, as the ingress has published it, or what a consumer reports of it. */
export type RecordSight =
  | { readonly kind: 'event'; readonly direction: Direction; readonly version: Version }
  | { readonly kind: 'outcome'; readonly direction: Direction; readonly outcome: Outcome }

export interface WatchRecordOptions extends Pick<BrokerOptions, 'url' | 'log' | 'name'> {
  readonly table: string
  readonly key: Key
  /** Must not throw. */
  readonly onSight: (sight: RecordSight) => void
  /** Milliseconds to wait for the connection. Default 8 s. */
  readonly connectMs?: number
}

export interface RecordWatch {
  close(): Promise<void>
}

const MAX_BYTES = 15 * 1024 * 1024

/**
 * Watches one record's events and their outcomes, both ways, through an exclusive queue of its own, which goes with the connection; it
 * takes nothing away from anybody. Of the events of other records, which come through the same partition, it reads one header and no
 * more. What passes while the connection is lost is not seen: a watcher must have another way to learn of it.
 *
 * @throws SyncError SYNC_BROKER_DOWN if RabbitMQ cannot be reached in time, or does not let this login listen; SYNC_CONFIG if the URL is none.
 */
export async function watchRecord(options: WatchRecordOptions): Promise<RecordWatch> {
  const { url, log, name, connectMs = 8_000 } = options
  const connection = new Connection(url, `${name} watching`, log)
  const stop = new AbortController()
  let hearing: () => void = () => undefined
  const heard = new Promise<'hearing'>((resolve) => (hearing = () => resolve('hearing')))
  connection.start()
  const loop = keepChannel<Channel>({
    connection,
    signal: stop.signal,
    label: `${name} watching ${options.table}/${options.key}`,
    log,
    open: (model) => model.createChannel(),
    use: (watched) => listen(watched, options, stop.signal, hearing),
  })
  const close = async () => {
    stop.abort()
    await within(2_000, loop)
    await connection.close()
  }
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<'late'>((resolve) => (timer = setTimeout(() => resolve('late'), connectMs)))
  const first = await Promise.race([heard, late])
  clearTimeout(timer)
  if (first === 'hearing') return { close }
  await close()
  throw new SyncError('SYNC_BROKER_DOWN', `RabbitMQ could not be listened to within ${connectMs / 1000} s.`)
}

async function listen(
  { channel, lost, abandon }: Watched<Channel>,
  { table, key, onSight }: WatchRecordOptions,
  stop: AbortSignal,
  hearing: () => void,
): Promise<void> {
  const queue = `${OUTCOMES}.watch.${randomUUID()}`
  await channel.assertQueue(queue, { exclusive: true, durable: false, autoDelete: true })
  for (const direction of DIRECTIONS) {
    await channel.bindQueue(queue, EVENTS, eventKey(direction, partitionOf(table, key)))
    await channel.bindQueue(queue, OUTCOMES, `${direction}.#`)
  }
  await channel.consume(
    queue,
    (message) => {
      if (message === null) return abandon('RabbitMQ cancelled the watch')
      for (const sight of sightsIn(message, table, key)) onSight(sight)
    },
    { noAck: true },
  )
  hearing()
  await new Promise<void>((resolve) => {
    const ended = () => resolve()
    if (lost.aborted || stop.aborted) return ended()
    lost.addEventListener('abort', ended, { once: true })
    stop.addEventListener('abort', ended, { once: true })
  })
}

function sightsIn(message: ConsumeMessage, table: string, key: Key): RecordSight[] {
  const { exchange, routingKey } = message.fields
  const direction = DIRECTIONS.find((each) => routingKey.startsWith(`${each}.`))
  if (direction === undefined) return []
  if (exchange === EVENTS) {
    const headers = headersOf(message)
    const version = headers[HEADER.version]
    if (headers[HEADER.entityKey] !== `${table}/${key}` || typeof version !== 'string') return []
    return [{ kind: 'event', direction, version }]
  }
  try {
    const { outcomes } = decodeOutcomes(message, direction, MAX_BYTES)
    return outcomes.flatMap((outcome) =>
      outcome.table === table && outcome.key === key ? [{ kind: 'outcome' as const, direction, outcome }] : [],
    )
  } catch (error) {
    // Somebody else's, or of another version: whoever settles it says so.
    if (error instanceof SyncError) return []
    throw error
  }
}
