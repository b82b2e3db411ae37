import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { connect } from 'amqplib'
import t, { type Test } from 'tap'
import { browseDeadLetters, DEAD, deadKey, deadQueue, openDeadLetterBox, UNROUTED } from '../src/index.ts'
import { note, testBroker, until } from './support/helpers.ts'
import { testRabbit, type TestRabbit } from './support/rabbit.ts'
import { slowChannel } from './support/slow-channel.ts'

const direction = 'sql-to-postgres'
const queue = deadQueue(direction)

/** A virtual host with its queues, and dead letters in it. */
async function lying(t: Test, keys: readonly number[], text = 'a note'): Promise<TestRabbit> {
  const rabbit = await testRabbit(t)
  const broker = await testBroker(t, rabbit.url)
  await broker.ready()
  bury(rabbit, keys, text)
  await rabbit.channel.waitForConfirms()
  return rabbit
}

function bury({ channel }: TestRabbit, keys: readonly number[], text = 'a note', routingKey = deadKey(direction)) {
  for (const key of keys) {
    const event = note(key, 1, text)
    const headers = {
      'sync-dead-id': String(Math.abs(key)).padStart(10, '0'),
      'sync-direction': direction,
      'sync-entity-key': `aligner_notes/${key}`,
      'sync-version': '1',
      'sync-error-code': '23505',
    }
    const options = { messageId: event.id, type: event.type, headers, persistent: true }
    channel.publish(DEAD, routingKey, Buffer.from(JSON.stringify(event)), options)
  }
}
const count = async ({ channel }: TestRabbit, name = queue) => (await channel.checkQueue(name)).messageCount
const numbers = (n: number) => Array.from({ length: n }, (_, index) => index + 1)

t.test('letters that RabbitMQ is slow to hand over are waited for: all are there, none is passed over', async (t) => {
  const rabbit = await lying(t, numbers(500))
  const url = await slowChannel(t, rabbit.url, { letters: 100, ms: 1_500 })
  const letters = await browseDeadLetters({ url })
  t.strictSame(
    letters.map(({ about }) => about?.key),
    numbers(500),
  )
  t.equal(await count(rabbit), 500)
})

t.test('looking takes nothing away and keeps the order, however often', async (t) => {
  const rabbit = await lying(t, numbers(500))
  bury(rabbit, [501], 'x', 'nowhere.at-all')
  await rabbit.channel.waitForConfirms()
  for (let times = 0; times < 3; times++) {
    const letters = await browseDeadLetters({ url: rabbit.url })
    t.strictSame(
      letters.map(({ about }) => about?.key),
      numbers(501),
    )
    t.match(letters[0], { queue, errorCode: '23505', id: '0000000001', messageId: 'clinic/aligner_notes/1/1' })
    t.match(letters[500], { queue: UNROUTED })
    t.ok((letters[0]?.bytes ?? 0) > 100)
    t.equal(await count(rabbit), 500, 'all are back when it resolves')
  }
  t.strictSame(
    (await rabbit.take(queue)).map(({ content }) => (JSON.parse(content.toString()) as { subject: string }).subject),
    numbers(500).map((key) => `aligner_notes/${key}`),
  )
})

t.test('no queue, no letters: and looking makes none', async (t) => {
  const rabbit = await testRabbit(t)
  t.strictSame(await browseDeadLetters({ url: rabbit.url }), [])
  const model = await connect(rabbit.url)
  t.teardown(() => model.close())
  const channel = await model.createChannel()
  channel.on('error', () => undefined)
  await t.rejects(channel.checkQueue(queue), /404/)
})

t.test('letters come with their bodies, are removed one by one, and the others go back', async (t) => {
  const rabbit = await lying(t, [1, 2, 3, 4, 5])
  // One and the same twice: a copy that was published before its original could be acknowledged.
  bury(rabbit, [3])
  await rabbit.channel.waitForConfirms()
  // More than a channel holds: several are used.
  const box = await openDeadLetterBox({ url: rabbit.url, perChannel: 2 })
  t.strictSame(
    box.letters.map(({ about }) => about?.key),
    [1, 2, 3, 4, 5, 3],
  )
  t.equal(await count(rabbit), 0, 'all are in hand')
  const [first, second, third, , , sixth] = box.letters
  if (!first || !second || !third || !sixth) throw new Error('missing')
  const opened = await box.take([sixth, second, third])
  t.strictSame(
    opened.map(({ letter, message }) => [letter, (JSON.parse(String(message.content)) as { subject: string }).subject]),
    [
      [sixth, 'aligner_notes/3'],
      [second, 'aligner_notes/2'],
      [third, 'aligner_notes/3'],
    ],
  )
  box.remove(second)
  box.remove(third)
  box.remove(first)
  t.match(await box.take([sixth]), [{ letter: { id: sixth.id } }], 'twice is no more than once')
  // What fails meanwhile is none of this box, and is not lost.
  bury(rabbit, [9])
  await rabbit.channel.waitForConfirms()
  await box.close()
  await until('all are back', async () => (await count(rabbit)) === 4)
  const left = await browseDeadLetters({ url: rabbit.url })
  t.same(
    left.map(({ about }) => about?.key).toSorted((a = 0, b = 0) => a - b),
    [3, 4, 5, 9],
  )
})

t.test('two at once: the second waits for the first, or says so; it never sees a part', async (t) => {
  const rabbit = await lying(t, numbers(50))
  const box = await openDeadLetterBox({ url: rabbit.url })
  await t.rejects(browseDeadLetters({ url: rabbit.url, waitMs: 300 }), { code: 'SYNC_DEAD_LETTERS_BUSY' })
  const second = browseDeadLetters({ url: rabbit.url })
  await box.close()
  t.equal((await second).length, 50)
})

t.test('a process that is killed with all letters in hand loses none, and leaves no lock', async (t) => {
  const rabbit = await lying(t, numbers(200))
  const child = fork(fileURLToPath(new URL('support/hold-dead-letters.ts', import.meta.url)), [rabbit.url], {
    execArgv: ['--import=tsx', '--conditions=@clinic-sync/source'],
  })
  await once(child, 'message')
  t.equal(await count(rabbit), 0)
  child.kill('SIGKILL')
  await once(child, 'exit')
  await until('all are back', async () => (await count(rabbit)) === 200)
  t.equal((await browseDeadLetters({ url: rabbit.url })).length, 200)
})

t.test('a connection that is lost is said, and a queue that is deleted', async (t) => {
  const rabbit = await lying(t, numbers(20))
  const box = await openDeadLetterBox({ url: rabbit.url })
  await rabbit.channel.deleteQueue(queue)
  await t.rejects(box.take(box.letters.slice(0, 5)), { code: 'SYNC_BROKER_DOWN' })
  await box.close()
  await t.rejects(browseDeadLetters({ url: 'amqp://127.0.0.1:1', waitMs: 1_000 }), { code: 'SYNC_BROKER_DOWN' })
})
