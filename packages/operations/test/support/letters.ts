import { randomUUID } from 'node:crypto'
import {
  connectBroker,
  DEAD,
  deadCopy,
  deadQueue,
  type DeadLetterBox,
  openDeadLetterBox,
  openSender,
  startEventConsumer,
  watchOutcomes,
} from '@clinic-sync/broker'
import { directionFrom, type Outcome, type Row, type SyncEvent } from '@clinic-sync/contracts'
import { testVhost } from '@clinic-sync/dev-services/testing'
import { type RecordVersionStatus, toEvent } from '@clinic-sync/sync'
import { connect, type ConfirmChannel, type ConsumeMessage } from 'amqplib'
import type { Test } from 'tap'
import { judge, type JudgedLetter, type ReplayPorts } from '../../src/index.ts'

const nothing = () => undefined
export const QUIET = { debug: nothing, info: nothing, warn: nothing, error: nothing }

export const note = (key: number, version = 1, text = 'a note', side: 'clinic' | 'portal' = 'clinic'): SyncEvent =>
  event('aligner_notes', key, { note_id: key, note_text: text }, version, side)

export const event = (
  table: string,
  key: number,
  row: Row | null,
  version = 1,
  side: 'clinic' | 'portal' = 'clinic',
): SyncEvent =>
  toEvent(side, {
    table,
    key,
    version: String(version),
    seen: '0',
    since: null,
    base: null,
    row,
    capturedAt: '2026-01-01T00:00:00.000Z',
  })

export interface Yard {
  readonly url: string
  readonly channel: ConfirmChannel
  /** Puts dead letters where they would lie. */
  bury(events: readonly SyncEvent[], options?: { code?: string; routingKey?: string }): Promise<void>
  /** Starts a consumer of the direction clinic → portal that applies to `apply`. */
  consume(apply: (event: SyncEvent) => Partial<Outcome>): Promise<void>
  /** All letters in hand. */
  open(): Promise<{ box: DeadLetterBox; letters: readonly JudgedLetter[]; ports: ReplayPorts }>
  count(queue?: string): Promise<number>
}

/** A virtual host with dead letters, consumers and an outbox that `statuses` stands for. */
export async function yard(t: Test, statuses = new Map<string, Partial<RecordVersionStatus>>()): Promise<Yard> {
  const { url } = await testVhost(t)
  const model = await connect(url)
  model.on('error', nothing)
  t.teardown(() => model.close().catch(nothing))
  const channel = await model.createConfirmChannel()
  channel.on('error', nothing)
  const broker = await connectBroker({ url, log: QUIET, name: 'yard' })
  t.teardown(() => broker.close())
  await broker.ready()
  const recordVersions: ReplayPorts['recordVersions'] = async (_, records) =>
    records.map((record) => {
      const none = { status: null, reason: null, supersededBy: null }
      return { ...record, ...none, ...statuses.get(`${record.table}/${record.key}/${record.version}`) }
    })
  return {
    url,
    channel,
    async bury(events, { code = '23505', routingKey } = {}) {
      for (const each of events) {
        const message = {
          content: Buffer.from(JSON.stringify(each)),
          properties: { messageId: each.id, type: each.type, headers: { 'x-death': [{ reason: 'old' }] } },
        } as unknown as ConsumeMessage
        const copy = deadCopy(message, {
          direction: directionFrom(each.source),
          failure: { type: 'permanent', code, message: `${each.subject}: must be unique (${code})` },
          queue: 'sync.sql-to-postgres.p1',
          appId: 'yard',
          about: each.data,
        })
        channel.publish(DEAD, routingKey ?? copy.routingKey, copy.content, { ...copy.options, persistent: true })
      }
      await channel.waitForConfirms()
    },
    async consume(apply) {
      const consumer = startEventConsumer({
        broker,
        direction: 'sql-to-postgres',
        log: QUIET,
        target: {
          check: () => Promise.resolve(),
          applyChanges: (events) =>
            Promise.resolve(
              events.map((each) => {
                const { table, key, version } = each.data
                return { table, key, version, outcome: 'applied' as const, ...apply(each) }
              }),
            ),
        },
      })
      t.teardown(() => consumer.close())
      while (consumer.state !== 'consuming') await new Promise((resolve) => setTimeout(resolve, 10))
    },
    async open() {
      const box = await openDeadLetterBox({ url })
      t.teardown(() => box.close())
      const sender = await openSender({ url, name: 'operator' })
      t.teardown(() => sender.close())
      const { letters } = await judge(box.letters, recordVersions)
      const watch: ReplayPorts['watch'] = (direction, onOutcomes) =>
        watchOutcomes({ url, log: QUIET, name: `operator ${randomUUID()}`, direction, onOutcomes })
      return { box, letters, ports: { box, sender, watch, recordVersions } }
    },
    count: async (queue = deadQueue('sql-to-postgres')) => (await channel.checkQueue(queue)).messageCount,
  }
}
