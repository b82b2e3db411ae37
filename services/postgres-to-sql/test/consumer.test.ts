import { deadQueue, eventQueues, retryQueue } from '@clinic-sync/broker'
import type { Outcome } from '@clinic-sync/contracts'
import t from 'tap'
import { until } from '../../../packages/broker/test/support/helpers.ts'
import { proxyTo } from '../../../packages/broker/test/support/proxy.ts'
import { testRabbit } from '../../../packages/broker/test/support/rabbit.ts'
import { treatedClinic } from './support/clinic.ts'
import { consumeHere, direction, outcomesOf, publish, tally } from './support/service.ts'

const [rabbit, clinic] = await Promise.all([testRabbit(t), treatedClinic(t)])
const messages = async (queue: string) => (await rabbit.channel.checkQueue(queue)).messageCount
const withText = (text: string) =>
  clinic.count(`SELECT COUNT(*) AS n FROM dbo.tblAlignerNotes WHERE NoteText = N'${text}'`)
const calls = () => clinic.simulator.statements().filter(({ text }) => text.includes('ApplyPortalChanges')).length

t.test('edits arrive in batches of one call each, with an outcome for each event', async (t) => {
  const keys = await clinic.notes(500)
  await publish(t, rabbit, await clinic.edits(keys, () => ({ note_text: 'one call' })))
  const before = calls()
  const here = await consumeHere(t, rabbit, clinic.url)
  await until('all are there', async () => (await withText('one call')) === 500)
  await here.broker.close()
  const all = await outcomesOf(rabbit)
  t.strictSame(tally(all), { applied: 500 })
  t.strictSame(
    all.map(({ key }) => key).toSorted((a, b) => a - b),
    keys,
  )
  t.ok(calls() - before <= 10, `${calls() - before} calls`)
  for (const queue of eventQueues(direction)) t.equal(await messages(queue), 0)
})

t.test('new notes, edits and what the clinic refuses, each with its own outcome in one batch', async (t) => {
  const [edited = 0, unread = 0] = await clinic.notes(2)
  const [edit] = await clinic.edits([edited], () => ({ note_text: 'شكراً 🦷', is_edited: true }))
  const [read] = await clinic.edits([unread], () => ({ is_read: true }))
  const events = [
    ...(edit ? [edit, edit] : []),
    ...(read ? [read] : []),
    clinic.born(-1, 1),
    clinic.born(-2, 2, { aligner_set_id: 999 }),
    clinic.born(-3, 3, { note_type: 'Reminder' }),
    clinic.born(-4, 4, { note_type: 'much longer than twenty characters' }),
    clinic.born(-5, 5, { is_read: null }),
    clinic.born(-6, 6, { edited_at: '1500-01-01T00:00:00.000Z' }),
    clinic.born(-7, 7),
  ]
  await publish(t, rabbit, events)
  const here = await consumeHere(t, rabbit, clinic.url)
  const all: Outcome[] = []
  await until('all are reported', async () => all.push(...(await outcomesOf(rabbit))) >= 9)
  await here.broker.close()
  // The event that came twice is reported once.
  t.strictSame(tally(all), { applied: 4, dead: 5 })
  const [notes] = await clinic.run(`SELECT COUNT(*) AS n, MIN(NoteID) AS low FROM dbo.tblAlignerNotes WHERE NoteID < 0`)
  t.match(notes, { n: 2, low: -7 })
  t.equal(await withText('شكراً 🦷'), 1)

  const reasons = new Map(
    (await rabbit.take(deadQueue(direction))).map(({ properties: { headers = {} } }) => [
      headers['sync-entity-key'] as unknown,
      { type: headers['sync-error-type'], code: headers['sync-error-code'], message: headers['sync-error-message'] },
    ]),
  )
  const named: [number, RegExp][] = [
    [-2, /aligner_notes\/-2: aligner_set_id: .*aligner_sets 999/],
    [-3, /aligner_notes\/-3: note_type: .*Doctor/],
    [-4, /aligner_notes\/-4: note_type: (longer than 20 characters|only 'Doctor')/],
    [-5, /aligner_notes\/-5: is_read:? must not be null/],
    [-6, /aligner_notes\/-6: edited_at: .*1753/],
  ]
  t.equal(reasons.size, named.length)
  for (const [key, message] of named) {
    const reason = reasons.get(`aligner_notes/${key}`)
    t.match(reason, { type: 'permanent', code: 'SYNC_BAD_VALUE', message })
    t.equal(all.find((outcome) => outcome.key === key)?.reason, reason?.message, 'the outbox row says the same')
  }
})

t.test('a note that somebody in the clinic holds stops no other, and is written as soon as they commit', async (t) => {
  const keys = await clinic.notes(300)
  const [held = 0] = keys
  const events = await clinic.edits(keys, () => ({ note_text: 'met a person' }))
  const person = clinic.session(t)
  await person.run(`BEGIN TRAN; UPDATE dbo.tblAlignerNotes SET IsRead = 1 WHERE NoteID = ${held}`)
  const here = await consumeHere(t, rabbit, clinic.url, 30_000)
  await here.broker.publishEvents(events)
  const all: Outcome[] = []
  await until('the others are reported', async () => all.push(...(await outcomesOf(rabbit))) >= 299)
  t.strictSame(tally(all), { applied: 299 })
  await person.run('COMMIT')
  await until('it is reported', async () => all.push(...(await outcomesOf(rabbit))) >= 300)
  await here.broker.close()
  t.strictSame(tally(all), { applied: 300 })
  t.equal(await withText('met a person'), 300)
  t.equal(await messages(retryQueue(1)), 0)
  t.equal(await messages(deadQueue(direction)), 0)
})

t.test('a note held for longer waits in the retry queues, and is written in the end', async (t) => {
  const [held = 0] = await clinic.notes(1)
  const [edit] = await clinic.edits([held], () => ({ note_text: 'at last' }))
  const person = clinic.session(t)
  await person.run(`BEGIN TRAN; UPDATE dbo.tblAlignerNotes SET IsRead = 1 WHERE NoteID = ${held}`)
  const here = await consumeHere(t, rabbit, clinic.url)
  await here.broker.publishEvents(edit ? [edit] : [])
  const all: Outcome[] = []
  await until('it waits', async () => all.push(...(await outcomesOf(rabbit))) > 0)
  t.match(all, [{ outcome: 'retry', code: '1222', reason: /locked/ }])
  await person.run('COMMIT')
  await until('it is written', async () => (await withText('at last')) === 1)
  await here.broker.close()
  t.equal(await messages(deadQueue(direction)), 0)
  await outcomesOf(rabbit)
})

t.test('the clinic goes away and comes back: consuming stops, nothing is dead, everything arrives', async (t) => {
  const proxy = await proxyTo(t, clinic.url)
  const here = await consumeHere(t, rabbit, proxy.url)
  for (const round of ['once', 'again']) {
    const events = await clinic.edits(await clinic.notes(300), () => ({ note_text: `away ${round}` }))
    proxy.refuse = true
    proxy.cut()
    await here.broker.publishEvents(events)
    await until('it pauses', () => here.consumer.state === 'paused')
    proxy.refuse = false
    await until('all are there', async () => (await withText(`away ${round}`)) === 300)
  }
  await here.broker.close()
  const kinds = Object.keys(tally(await outcomesOf(rabbit)))
  t.strictSame(
    kinds.filter((kind) => kind !== 'applied' && kind !== 'duplicate'),
    [],
  )
  t.equal(await messages(deadQueue(direction)), 0)
  t.equal(await messages(retryQueue(1)), 0)
})

t.test('connections cut in the middle of a batch cost nothing', async (t) => {
  const keys = await clinic.notes(900)
  const events = await clinic.edits(keys, () => ({ note_text: 'cut' }))
  const here = await consumeHere(t, rabbit, clinic.url)
  const publishing = here.broker.publishEvents(events)
  for (let round = 0; round < 4; round++) {
    await until('it goes on', async () => (await withText('cut').catch(() => 0)) >= round * 200)
    clinic.simulator.dropConnections()
  }
  await publishing
  await until('all are there', async () => (await withText('cut').catch(() => 0)) === 900)
  await until('all are acknowledged', async () => {
    const counts = await Promise.all(eventQueues(direction).map(messages))
    return counts.every((count) => count === 0)
  })
  await here.broker.close()
  const kinds = Object.keys(tally(await outcomesOf(rabbit)))
  t.strictSame(
    kinds.filter((kind) => kind !== 'applied' && kind !== 'duplicate'),
    [],
  )
  t.equal(await messages(deadQueue(direction)), 0)
})
