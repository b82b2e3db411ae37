import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { until } from './help.ts'
import { portalBench } from './portal-bench.ts'

/** Long enough for whatever polls to be caught at it, many times over. */
const QUIET_MS = 1_500

const bench = await portalBench(t, 'listen')
const { doctor, events, wire } = bench
const texts = () => events.map(({ data }) => data.row?.['note_text'])
const write = (text: string) =>
  doctor.query("INSERT INTO aligner_notes (aligner_set_id, note_type, note_text) VALUES (1, 'Doctor', $1)", [text])
const edit = (text: string) => doctor.query('UPDATE aligner_notes SET note_text = $1 WHERE note_id = 1', [text])
const heard = () => bench.check('portal-doorbell') === 'ok'

t.test('a doctor’s write becomes one event, within a second of its commit, and nobody calls', async (t) => {
  const latencies: number[] = []
  for (let i = 0; i < 20; i++) {
    await write(`note ${i}`)
    const committed = performance.now()
    await until('the event arrives', () => texts().includes(`note ${i}`))
    latencies.push(performance.now() - committed)
  }
  await doctor.query('UPDATE aligner_batches SET days = 14 WHERE aligner_batch_id = 1')
  await doctor.query('UPDATE aligner_notes SET is_read = true WHERE note_id = 1')
  await until('both arrive', () => events.length >= 22)
  await bench.settled()
  t.ok(Math.max(...latencies) < 1_000, `ms: ${latencies.map(Math.round)}`)
  t.match(
    events.slice(20).map(({ subject, data }) => ({ subject, row: data.row, base: data.base })),
    [
      { subject: 'aligner_batches/1', row: { days: 14 }, base: { days: 10 } },
      { subject: 'aligner_notes/1', row: { is_read: true }, base: { is_read: false } },
    ],
  )
  t.equal(events.length, 22, 'one each')
  t.equal(new Set(events.map(({ id }) => id)).size, 22)
})

t.test('the test of the doorbells hears NOTIFY, and changes nothing', async (t) => {
  const before = [await bench.contents(), events.length]
  t.match(await bench.test(), {
    clinic: { doorbell: 'none', heard: false, ms: null, message: 'CLINIC_DOORBELL is none: nothing rings.' },
    portal: { doorbell: 'listen', heard: true, ms: Number, message: null },
  })
  t.same([await bench.contents(), events.length], before)
})

t.test('a transaction rings once, at its commit: its edits of a record are one event', async (t) => {
  const before = events.length
  await doctor.query('BEGIN')
  for (const text of ['a', 'b', 'c']) await edit(text)
  await write('and another')
  await delay(100)
  t.equal(events.length, before, 'nothing is seen before the commit')
  await doctor.query('COMMIT')
  await until('both arrive', () => events.length >= before + 2)
  await bench.settled()
  t.same(texts().slice(before).toSorted(), ['and another', 'c'])
  await doctor.query('BEGIN')
  await edit('never')
  await doctor.query('ROLLBACK')
  await edit('d')
  await until('it arrives', () => texts().includes('d'))
  await bench.settled()
  t.same(texts().slice(before + 2), ['d'])
})

t.test('idle, the ingress sends the portal nothing but a sign of life', async (t) => {
  await bench.settled()
  const before = wire.sent()
  await delay(QUIET_MS)
  const ready = await fetch(`${bench.url}/readyz`)
  // A Sync message has 5 bytes, is no query, and goes every 10 s; the least query has more.
  t.ok([0, 5].includes(wire.sent() - before), `${wire.sent() - before} bytes`)
  t.match(await ready.json(), { status: 'ready', checks: { portal: 'ok', 'portal-doorbell': 'ok' } })
  await edit('the counter counts')
  await until('it arrives', () => texts().includes('the counter counts'))
  t.ok(wire.sent() > before)
})

t.test('a doorbell’s connection that is ended is made again, and rings again', async (t) => {
  const ended = await doctor.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND application_name = 'clinic-sync doorbell'`,
  )
  t.equal(ended.rowCount, 1, 'one connection listens')
  await until('the loss is known', () => !heard())
  await write('while nobody listened')
  await until('it listens again', heard)
  await until('what happened meanwhile arrives', () => texts().includes('while nobody listened'))
  await write('after that')
  await until('the doorbell rings', () => texts().includes('after that'))
  await bench.settled()
})

t.test('a wire that is cut: what happened meanwhile is drained as soon as it is mended', async (t) => {
  const before = events.length
  wire.cut()
  await until('the loss is known', () => !heard())
  await doctor.query('DELETE FROM aligner_notes WHERE note_id = 1')
  for (let i = 0; i < 10; i++) await write(`unheard ${i}`)
  t.equal(events.length, before)
  t.equal((await fetch(`${bench.url}/readyz`)).status, 503)
  wire.mend()
  await until('all arrive', () => events.length >= before + 11)
  await bench.settled()
  t.equal(events.length, before + 11, 'each once')
  t.match(
    events.slice(before).find(({ subject }) => subject === 'aligner_notes/1'),
    {
      type: 'sync.row.deleted.v1',
      data: { row: null },
    },
  )
  t.same(
    bench.logs.texts(30).filter((line) => /heard again/.test(line)),
    ["the portal's doorbell is heard again", "the portal's doorbell is heard again"],
  )
})
