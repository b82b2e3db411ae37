import { deadQueue, retryQueue } from '@clinic-sync/broker'
import type { Outcome } from '@clinic-sync/contracts'
import t from 'tap'
import { until } from '../../../packages/broker/test/support/helpers.ts'
import { testRabbit } from '../../../packages/broker/test/support/rabbit.ts'
import { treatedClinic } from './support/clinic.ts'
import { consumeHere, direction, outcomesOf, publish, tally } from './support/service.ts'

const [rabbit, clinic] = await Promise.all([testRabbit(t), treatedClinic(t)])
const { simulator } = clinic

for (const [what, number] of [
  ['a full disk', 1105],
  ['a full log', 9002],
  ['no memory', 701],
  ['a read-only database', 3906],
] as const) {
  // The server answers, and fails whatever it is given.
  t.test(`${what} (${number}): consuming stops, nothing is dead or retried, and goes on by itself`, async (t) => {
    const keys = await clinic.notes(100)
    simulator.failWith({ number, message: 'Zaynab-4711', severity: 17 })
    await publish(t, rabbit, await clinic.edits(keys, () => ({ note_text: `after ${number}` })))
    const { broker, consumer } = await consumeHere(t, rabbit, simulator.serviceUrl)
    await until('it pauses', () => consumer.state === 'paused')
    t.strictSame(await outcomesOf(rabbit), [])
    simulator.failWith(null)
    const all: Outcome[] = []
    await until('all are reported', async () => all.push(...(await outcomesOf(rabbit))) >= 100)
    await broker.close()
    t.strictSame(tally(all), { applied: 100 })
    for (const queue of [deadQueue(direction), retryQueue(1)]) {
      t.equal((await rabbit.channel.checkQueue(queue)).messageCount, 0)
    }
  })
}
