import { deadQueue } from '@clinic-sync/broker'
import { testVhost } from '@clinic-sync/dev-services/testing'
import { connect } from 'amqplib'
import t from 'tap'
import { Doubts } from '../src/alerts/doubts.ts'
import { Senses } from '../src/alerts/senses.ts'
import { recordingLog, until } from './help.ts'

const DEAD = deadQueue('sql-to-postgres')

function start(rabbitmqUrl: string) {
  const senses = new Senses()
  const log = recordingLog()
  const none = { outboxStatus: () => Promise.reject(new Error('nobody asks')) }
  const doubts = new Doubts({
    senses,
    rabbitmqUrl,
    log: log.log,
    probe: async () => undefined,
    outboxes: { clinic: none, portal: none },
    repeat: { min: 10, max: 20 },
    unsettledSeconds: 60,
  })
  return { senses, doubts, log }
}

t.test('dead letters that cannot be looked at are told by their number', async (t) => {
  const { senses, doubts, log } = start('amqp://127.0.0.1:9')
  senses.asked([{ queue: DEAD, messages: 3, consumers: 0 }])
  doubts.deadLetters()
  t.equal(doubts.dead('sql-to-postgres'), null, 'not at the first failure')
  await until('it has failed again and again', () => {
    doubts.deadLetters()
    return doubts.dead('sql-to-postgres') !== null
  })
  t.same(doubts.dead('sql-to-postgres'), [{ cause: 'not looked at', letters: 3 }])
  t.equal(doubts.dead('postgres-to-sql'), null, 'there are none in the other direction')
  t.match(log.texts(40), [/cannot look at the dead letters/])
})

t.test('what can be looked at is told by its causes', async (t) => {
  const { url } = await testVhost(t)
  const model = await connect(url)
  t.teardown(() => model.close())
  const channel = await model.createChannel()
  await channel.assertQueue(DEAD, { durable: true, arguments: { 'x-queue-type': 'quorum' } })
  channel.sendToQueue(DEAD, Buffer.from('{}'), { headers: { 'sync-error-code': 'SYNC_TEST' } })
  await until('it is there', async () => (await channel.checkQueue(DEAD)).messageCount === 1)
  const { senses, doubts, log } = start(url)
  senses.asked([{ queue: DEAD, messages: 1, consumers: 0 }])
  await until('they are looked at', () => {
    doubts.deadLetters()
    return doubts.dead('sql-to-postgres') !== null
  })
  t.notMatch(doubts.dead('sql-to-postgres'), [{ cause: 'not looked at' }])
  t.same(log.texts(40), [])
})
