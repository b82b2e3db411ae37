import { DatabaseError } from '@clinic-sync/sync'
import t from 'tap'
import { deadQueue, outcomeQueue, startEventConsumer } from '../src/index.ts'
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
    'sync-version': '1',
    'sync-attempts': 1,
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
