import { testRabbitServer } from '@clinic-sync/dev-services/testing'
import t, { type Test } from 'tap'
import { repairing } from './support/repairing.ts'
import { tripwire } from './support/tripwire.ts'
import { pause } from './support/whole-sync.ts'

// A repair whose RabbitMQ is gone amid its work, or does not answer: what it queued waits in the outboxes. It ends in time, says what is
// down, and what has not arrived; once RabbitMQ is back all of it arrives, and a second repair finds nothing left.

const impatient = { patienceMs: 1_000 }
/** On a busy machine RabbitMQ itself needs most of it. */
const patient = { patienceMs: 90_000 }

async function stage(t: Test) {
  const rabbit = await testRabbitServer(t)
  const wire = await tripwire(t, rabbit.url, 'utf8')
  const sync = await repairing(t, { url: wire.url })
  const before = await sync.run()
  t.equal(before.code, 0, before.error || before.text)
  await sync.plant()
  // RabbitMQ 3.10 keeps in memory for half a second which queues are new. One that it forgets so in a crash never answers again.
  await pause(2_000)
  return { rabbit, wire, ...sync }
}

t.test('gone before anything is queued', async (t) => {
  const { rabbit, run, check } = await stage(t)
  const revive = await rabbit.kill()
  const lost = await run(() => undefined, impatient)
  t.equal(lost.code, 3, lost.error)
  t.match(lost.text, /It goes with the next drain: .*The clinic's outbox: not connected to RabbitMQ/)
  t.match(lost.text, /It goes with the next drain: .*The portal's outbox: not connected to RabbitMQ/)
  t.match(
    lost.text,
    /aligner_batches\/1 remains: still on its way: .* run this again\.\n(.*\n)+0 are equal now, 5 remain\.\n$/,
  )
  t.ok(lost.ms < 20_000, `${lost.ms} ms`)
  await revive()
  const again = await run(undefined, patient)
  t.equal(again.code, 0, again.error || again.text)
  await check(t)
})

t.test('gone while the records are queued', async (t) => {
  const { rabbit, wires, run, check } = await stage(t)
  let killed: ReturnType<typeof rabbit.kill> | undefined
  const kill = () => {
    killed = rabbit.kill()
  }
  const lost = await run(() => wires.clinic.set('sync.QueueRecords', 'after', kill), impatient)
  t.equal(lost.code, 3, lost.error)
  t.match(lost.text, /It goes with the next drain: .*RabbitMQ/)
  t.match(lost.text, /\d (is|are) equal now, \d remains?\.\n$/)
  t.ok(lost.ms < 20_000, `${lost.ms} ms`)
  await (
    await killed
  )?.()
  const again = await run(undefined, patient)
  t.equal(again.code, 0, again.error || again.text)
  await check(t)
})

t.test('silent as the first event comes: its confirmation is not waited for', async (t) => {
  const { wire, run, check } = await stage(t)
  const lost = await run(() => wire.set('aligner_', 'before', 'silent'), impatient)
  t.equal(lost.code, 3, lost.error)
  t.match(lost.text, /It goes on without us: the ingress has not yet sent all/)
  t.match(lost.text, /\d (is|are) equal now, \d remains?\.\n$/)
  t.ok(lost.ms < 20_000, `${lost.ms} ms`)
  wire.mend()
  const again = await run(undefined, patient)
  t.equal(again.code, 0, again.error || again.text)
  await check(t)
})
