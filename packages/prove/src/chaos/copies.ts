import { type ChannelModel, connect, type ConsumeMessage, type GetMessage } from 'amqplib'
import { outcomeBatchValidator } from '@clinic-sync/contracts'
import type { Happening } from '../end/history.ts'
import { copiesOf } from '../schedule/faults.ts'

/** The exchanges whose messages are delivered again: events, and what became of them. */
const EXCHANGES = ['sync.events', 'sync.outcomes']
/** On copies: they are not copied again. */
const MARK = 'prove-copy'
/** So many are kept for the very end. */
const MOST_KEPT = 600

/** Listens beside the services, and delivers messages again: at once, late, and when everything is over. */
export interface Copies {
  readonly counts: { readonly events: number; readonly outcomes: number; readonly copies: number }
  /** Every message about a record, copies included. */
  readonly happenings: readonly Happening[]
  /** Delivers now all that was to be delivered later, and what was kept for the end. Resolves when the broker has it all. */
  deliverRest(): Promise<void>
  /** Moves what waits for a retry back to its partition, as an operator may. Returns how many. */
  hurry(queues: readonly string[]): Promise<number>
  /** Takes the messages out of a queue. */
  empty(queue: string): Promise<readonly GetMessage[]>
  /** Messages that wait in these queues, all together. */
  waiting(queues: readonly string[]): Promise<number>
  close(): Promise<void>
}

interface Copy extends Pick<ConsumeMessage, 'content' | 'properties'> {
  readonly fields: { readonly exchange: string; readonly routingKey: string }
}

/** @param url of RabbitMQ; the services have declared the exchanges */
export async function openCopies(url: string, seed: number): Promise<Copies> {
  const connection: ChannelModel = await connect(url)
  connection.on('error', () => undefined)
  const channel = await connection.createConfirmChannel()
  const counts = { events: 0, outcomes: 0, copies: 0 }
  const later = new Map<NodeJS.Timeout, Copy>()
  const kept: Copy[] = []
  const happenings: Happening[] = []
  let seen = 0

  const deliver = ({ content, fields, properties }: Copy, headers: Record<string, unknown> = { [MARK]: true }) => {
    const own = Object.entries(properties.headers ?? {}).filter(([name]) => !name.startsWith('x-'))
    return new Promise<void>((resolve, reject) => {
      channel.publish(
        fields.exchange,
        fields.routingKey,
        content,
        {
          messageId: properties.messageId,
          type: properties.type,
          contentType: properties.contentType,
          timestamp: properties.timestamp,
          appId: properties.appId,
          headers: { ...Object.fromEntries(own), ...headers },
          persistent: true,
        },
        (error: unknown) => (error ? reject(new Error('RabbitMQ refused a copy')) : resolve()),
      )
    })
  }

  function planned(message: ConsumeMessage): void {
    for (const when of copiesOf(seed, ++seen)) {
      if (when === 'last') {
        if (kept.length < MOST_KEPT) kept.push(message)
        continue
      }
      const timer = setTimeout(() => {
        later.delete(timer)
        counts.copies++
        // Once the run is over nobody needs it any more.
        deliver(message).catch(() => undefined)
      }, when)
      later.set(timer, message)
    }
  }

  const { queue } = await channel.assertQueue('', { exclusive: true, durable: false })
  for (const exchange of EXCHANGES) await channel.bindQueue(queue, exchange, '#')
  await channel.consume(
    queue,
    (message) => {
      if (message === null) return
      happenings.push(...happeningsOf(message))
      if (message.properties.headers?.[MARK] !== undefined) return
      if (message.fields.exchange === EXCHANGES[0]) counts.events++
      else counts.outcomes++
      planned(message)
    },
    { noAck: true },
  )

  const get = (name: string) => channel.get(name, { noAck: false })

  return {
    counts,
    happenings,
    async deliverRest() {
      const rest = [...later.values(), ...kept]
      for (const timer of later.keys()) clearTimeout(timer)
      later.clear()
      kept.length = 0
      counts.copies += rest.length
      await Promise.all(rest.map((message) => deliver(message)))
    },
    async hurry(queues) {
      let moved = 0
      for (const name of queues) {
        for (let message = await get(name); message !== false; message = await get(name)) {
          const fields = { ...message.fields, exchange: 'sync.events' }
          await deliver({ ...message, fields }, {})
          channel.ack(message)
          moved++
        }
      }
      return moved
    },
    async empty(name) {
      const messages: GetMessage[] = []
      for (let message = await get(name); message !== false; message = await get(name)) {
        channel.ack(message)
        messages.push(message)
      }
      return messages
    },
    async waiting(queues) {
      let count = 0
      for (const name of queues) count += (await channel.checkQueue(name)).messageCount
      return count
    },
    async close() {
      for (const timer of later.keys()) clearTimeout(timer)
      later.clear()
      await connection.close().catch(() => undefined)
    },
  }
}

function happeningsOf({ content, fields, properties }: ConsumeMessage): Happening[] {
  const at = performance.now()
  const headers: Record<string, unknown> = properties.headers ?? {}
  const copy = headers[MARK] === undefined ? '' : ' (copy)'
  if (fields.exchange === EXCHANGES[0]) {
    const attempt = Number(headers['sync-attempt']) > 0 ? `, attempt ${Number(headers['sync-attempt']) + 1}` : ''
    const what = `${fields.routingKey} event ${String(headers['sync-version'])}${attempt}${copy}`
    return [{ record: String(headers['sync-entity-key']), at, what }]
  }
  const batch: unknown = JSON.parse(content.toString())
  if (!outcomeBatchValidator.Check(batch)) return []
  return batch.outcomes.map(({ table, key, version, outcome, code, reason }) => ({
    record: `${table}/${key}`,
    at,
    what: `${batch.direction} ${outcome} ${version}${copy} ${code ?? ''} ${reason ?? ''}`.trimEnd(),
  }))
}
