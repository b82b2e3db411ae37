import { DatabaseError } from '@clinic-sync/sync'
import t from 'tap'
import { deadCopy, deadQueue, HEADER, outcomeQueue, readDeadLetter, startEventConsumer } from '../src/index.ts'
import type { Labelled } from '../src/headers.ts'
import { keepLines, note, testBroker, until } from './support/helpers.ts'
import { testRabbit } from './support/rabbit.ts'

const rabbit = await testRabbit(t)
const direction = 'sql-to-postgres'

t.test("the headers of a dead letter give the target's own reason, whichever way it told it", async (t) => {
  const broker = await testBroker(t, rabbit.url)
  await broker.ready()
  const reason = "aligner_notes/-5: note_type: only 'Doctor' notes come from the portal – كلا"
  const long = `aligner_notes/-6: ${'column, '.repeat(300)}`
  const consumer = startEventConsumer({
    broker,
    direction,
    log: keepLines(),
    target: {
      check: () => Promise.resolve(),
      applyChanges: async (events) =>
        events.map(({ data: { table, key, version } }) => {
          if (key === -7) throw new DatabaseError('permanent', 'aligner_notes/-7: too long', { number: '8152' })
          if (key === -8) return { table, key, version, outcome: 'dead' as const }
          const said = { code: 'SYNC_BAD_VALUE', reason: key === -5 ? reason : long }
          return { table, key, version, outcome: 'dead' as const, ...said }
        }),
    },
  })
  await broker.publishEvents([-5, -6, -7, -8].map((key) => note(key, 1)))
  await until('all are dead', async () => (await rabbit.channel.checkQueue(deadQueue(direction))).messageCount === 4)
  await consumer.close()
  const headers = new Map(
    (await rabbit.take(deadQueue(direction))).map(({ properties }) => [
      properties.headers?.['sync-entity-key'] as unknown,
      properties.headers,
    ]),
  )
  t.match(headers.get('aligner_notes/-5'), {
    'sync-error-type': 'permanent',
    'sync-error-code': 'SYNC_BAD_VALUE',
    'sync-error-message': reason,
    'sync-dead-id': /^[0-9a-z]{10}$/,
    'sync-direction': direction,
    'sync-table': 'aligner_notes',
    'sync-key': '-5',
    'sync-version': '1',
    'sync-attempts': 1,
    'sync-first-failed-at': /^\d{4}-.*Z$/,
    'sync-failed-at': /^\d{4}-.*Z$/,
    'sync-source-queue': /^sync[.]sql-to-postgres[.]p\d$/,
    'sync-consumer': new RegExp(`^test@.+:${process.pid}$`),
  })
  t.match(headers.get('aligner_notes/-6'), { 'sync-error-message': long.slice(0, 1_000) })
  t.match(headers.get('aligner_notes/-7'), {
    'sync-error-code': '8152',
    'sync-error-message': 'aligner_notes/-7: too long',
  })
  t.match(headers.get('aligner_notes/-8'), { 'sync-error-code': 'dead' })
  const reported = (await rabbit.take(outcomeQueue(direction))).flatMap(
    ({ content }) => (JSON.parse(content.toString()) as { outcomes: { key: number; reason?: string }[] }).outcomes,
  )
  t.equal(reported.find(({ key }) => key === -5)?.reason, reason)
})

t.test(
  'a dead letter reads back as it was written; one that is not ours has a name of its own, the same each time',
  (t) => {
    const written = deadCopy(
      labelled({ 'sync-entity-key': 'aligner_notes/-5', 'sync-version': '7', 'sync-replays': 2 }),
      {
        direction,
        failure: { type: 'parent', code: '23503', message: 'no such set' },
        queue: 'sync.sql-to-postgres.p1',
        appId: 'test',
      },
    )
    const letter = readDeadLetter(labelled(written.options.headers))
    t.match(letter, {
      annotated: true,
      about: { table: 'aligner_notes', key: -5, version: '7' },
      direction,
      errorType: 'parent',
      errorCode: '23503',
      replays: 2,
      attempts: 1,
      supersededBy: null,
    })
    t.equal(letter.id, written.options.headers?.[HEADER.deadId] as unknown)
    const foreign = labelled({
      'x-first-death-reason': 'delivery_limit',
      'x-first-death-queue': 'sync.sql-to-postgres.p3',
    })
    t.match(readDeadLetter(foreign), {
      annotated: false,
      about: null,
      errorType: 'delivery-limit',
      errorCode: 'SYNC_DELIVERY_LIMIT',
      sourceQueue: 'sync.sql-to-postgres.p3',
    })
    t.match(readDeadLetter(foreign).id, /^[0-9a-z]{10}$/)
    t.equal(readDeadLetter(foreign).id, readDeadLetter(labelled({})).id, 'by message id and body alone')
    t.match(
      readDeadLetter(labelled({ 'sync-dead-id': { a: 1 }, 'sync-error-type': 'x', 'sync-attempts': -1 })),
      { annotated: false, errorType: 'unexpected', attempts: 0 },
      'headers that are not as we write them count as absent',
    )
    t.end()
  },
)

const labelled = (headers: Record<string, unknown> | undefined): Labelled => ({
  content: Buffer.from('{}'),
  properties: { messageId: 'clinic/aligner_notes/5/7', headers },
})
