import t from 'tap'
import { repairing } from './support/repairing.ts'
import type { Moment } from './support/tripwire.ts'

// A repair that loses a database amid its work, at each of its steps: it ends soon, says what is down and what is left, and a second one
// finishes. Nothing that somebody wrote is lost.

const { simulator, portalSql, wires, run, plant, check } = await repairing(t)

type Step = readonly ['clinic' | 'portal', request: string, Moment, nth?: number]
const STEPS: readonly Step[] = [
  ['portal', 'sync.record_states', 'before'],
  ['portal', 'sync.keep_rows', 'before'],
  ['portal', 'sync.keep_rows', 'after', 2],
  ['portal', 'sync.forget_deletes', 'before'],
  ['portal', 'sync.forget_deletes', 'after'],
  ['portal', 'sync.send_rows', 'before'],
  ['portal', 'sync.send_rows', 'after'],
  ['clinic', 'sync.RecordStates', 'before'],
  ['clinic', 'sync.QueueRecords', 'before'],
  ['clinic', 'sync.QueueRecords', 'after'],
  ['clinic', 'sync.QueueRecords', 'before', 2],
  ['clinic', 'sync.QueueRecords', 'after', 3],
  // Of five portions two looks each; then they are waited for.
  ['clinic', 'sync.RecordStates', 'after', 11],
]
const DOWN = {
  portal: /the portal's database cannot be reached: /,
  clinic: /There is no connection to SQL Server for sync\.\w+ \(E[A-Z]+\)/,
}
const STOPPED =
  /^The repair (stopped before the first record was dealt with|stopped with \d of \d records? dealt with|has sent all, and stopped while \d of \d records had arrived): .+\. What was sent arrives by itself; run it again for the rest\.$/

t.test('before: equal', async (t) => {
  const { code, text } = await run()
  t.equal(code, 0, text)
})

for (const [side, request, moment, nth] of STEPS)
  t.test(`the ${side} is gone ${moment} ${nth ?? 1}. ${request}`, async (t) => {
    await plant()
    const lost = await run(() => wires[side].set(request, moment, 'gone', nth))
    t.ok(wires[side].tripped, 'it was lost')
    t.match(lost, { code: 1, error: STOPPED })
    t.match(lost.error, DOWN[side])
    t.ok(lost.ms < 20_000, `${lost.ms} ms`)
    wires[side].mend()
    const again = await run()
    t.equal(again.code, 0, again.error || again.text)
    await check(t)
  })

for (const moment of ['before', 'after'] as const)
  t.test(`the portal is gone ${moment} the result is kept: the repair is done, and is said to be`, async (t) => {
    await plant()
    const lost = await run(() => wires.portal.set('sync.keep_verification', moment, 'gone'))
    t.match(lost.text, /Repaired: all 5 are equal now\.\n$/)
    t.match(lost, { code: 1, error: /^The repair is done, but its result could not be kept: the portal's database / })
    wires.portal.mend()
    await check(t)
    const again = await run()
    t.match(again, { code: 0, text: /, 0 of \d+ rows differ\./ })
  })

/** As a restart of the server: the services lose theirs, too. */
const ENDED = {
  portal: () =>
    void portalSql(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
    ),
  clinic: () => simulator.dropConnections(),
}
for (const [side, request, moment, nth] of STEPS.filter(([, , moment]) => moment === 'after'))
  t.test(`all connections of the ${side} end ${moment} ${nth ?? 1}. ${request}`, async (t) => {
    await plant()
    const lost = await run(() => wires[side].set(request, moment, ENDED[side], nth))
    // The answer may have come before the end did, and what follows has new connections.
    if (lost.code !== 0) t.match(lost.error, STOPPED)
    if (lost.code !== 0) t.match(lost.error, side === 'portal' ? /portal/ : /SQL Server/)
    wires[side].mend()
    const again = await run()
    t.equal(again.code, 0, again.error || again.text)
    await check(t)
  })

/** A quarter of what is usual. */
const silence = { connectMs: 2_500, statementMs: 5_000, answerMs: 6_000, beatMs: 2_500 }
for (const [side, request, moment] of [
  ['portal', 'sync.send_rows', 'before'],
  ['clinic', 'sync.QueueRecords', 'after'],
] satisfies Step[])
  t.test(`the ${side} is silent ${moment} ${request}: it ends, too`, async (t) => {
    await plant()
    const lost = await run(() => wires[side].set(request, moment, 'silent'), { silence })
    t.match(lost, { code: 1, error: STOPPED })
    t.ok(lost.ms > silence.statementMs && lost.ms < 4 * silence.answerMs, `${lost.ms} ms`)
    wires[side].mend()
    const again = await run()
    t.equal(again.code, 0, again.error || again.text)
    await check(t)
  })
