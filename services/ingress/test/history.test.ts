import type { Minute, OutcomeBatch, OutcomeKind } from '@clinic-sync/contracts'
import t from 'tap'
import { MinuteHistory } from '../src/page/history.ts'
import { until } from './help.ts'
import { asOperator, start } from './http.ts'

const AT = Date.parse('2026-01-31T08:00:00.000Z')

function batch(
  changes: number,
  latency?: OutcomeBatch['latency'],
  outcome: OutcomeKind = 'applied',
  direction: OutcomeBatch['direction'] = 'sql-to-postgres',
): OutcomeBatch {
  const outcomes = Array.from({ length: changes }, (_, key) => ({ table: 'works', key, version: '1', outcome }))
  return { direction, outcomes, ...(latency && { latency }) }
}

/** A history by a clock of its own. */
function kept(shared: Minute[][] = []) {
  const clock = { now: AT }
  const history = new MinuteHistory({ now: () => clock.now, share: (minutes) => shared.push([...minutes]) })
  t.teardown(() => history.stop())
  return { history, clock, shared, pass: (minutes: number) => (clock.now += minutes * 60_000) }
}

t.test('a minute has the median of the batches’ medians, each as often as it had changes, and the worst', async (t) => {
  const { history, pass, shared } = kept()
  history.heard([batch(5, { medianMs: 10, worstMs: 90 }), batch(1, { medianMs: 4_000, worstMs: 4_000 })])
  history.heard([
    batch(3, { medianMs: 20, worstMs: 25 }),
    batch(2, { medianMs: 20, worstMs: 20 }, 'applied', 'postgres-to-sql'),
  ])
  t.match(history.read(1).minutes, [{ changes: 9 }, { changes: 2 }], 'one that runs is told as far as it is')
  pass(1)
  const { startedAt, minutes } = history.read(1)
  t.equal(startedAt, '2026-01-31T08:00:00.000Z')
  t.same(minutes, [
    { at: startedAt, direction: 'sql-to-postgres', changes: 9, medianMs: 10, worstMs: 4_000 },
    { at: startedAt, direction: 'postgres-to-sql', changes: 2, medianMs: 20, worstMs: 20 },
  ])
  t.same(shared, [minutes], 'the others are told once')
  pass(1)
  history.read(1)
  t.equal(shared.length, 1)
})

t.test('what has not arrived with its event is no change; a consumer of 1.0 says no latency', async (t) => {
  const { history } = kept()
  for (const outcome of ['duplicate', 'stale', 'retry', 'dead'] as const)
    history.heard([batch(4, { medianMs: 1, worstMs: 1 }, outcome)])
  t.same(history.read(24).minutes, [])
  for (const outcome of ['applied', 'unchanged', 'conflict'] as const) history.heard([batch(1, undefined, outcome)])
  t.match(history.read(24).minutes, [{ changes: 3, medianMs: null, worstMs: null }])
})

t.test('24 hours are kept, and no more, whatever the clock does', async (t) => {
  const { history, clock, pass } = kept()
  for (let n = 0; n < 3_000; n++) {
    history.heard([batch(1, { medianMs: n, worstMs: n })])
    history.heard([batch(1, { medianMs: n, worstMs: n }, 'applied', 'postgres-to-sql')])
    pass(1)
  }
  t.equal(history.read(24).minutes.length, 2 * 24 * 60)
  t.equal(history.read(1).minutes.length, 2 * 60)
  clock.now -= 48 * 3_600_000
  for (let n = 0; n < 3_000; n++) {
    history.heard([batch(1)])
    pass(1)
  }
  t.ok(history.read(24).minutes.length <= 2 * 24 * 60)
})

t.test('a minute of which another ingress has settled a part is put together', async (t) => {
  const { history, pass, shared } = kept()
  const told: Minute[] = []
  history.listen((minute) => told.push(minute))
  history.heard([batch(2, { medianMs: 10, worstMs: 10 })])
  pass(1)
  history.read(1)
  const at = new Date(AT).toISOString()
  history.told([{ at, direction: 'sql-to-postgres', changes: 5, medianMs: 30, worstMs: 31 }])
  const whole = { at, direction: 'sql-to-postgres', changes: 7, medianMs: 30, worstMs: 31 }
  t.same(history.read(1).minutes, [whole])
  t.same(told[1], whole)
  t.equal(shared.length, 1, 'what was heard is not told on')
})

t.test('by HTTP: hours are 1 to 24; a stream tells each minute when it has ended', async (t) => {
  const history = new MinuteHistory({ minuteMs: 50 })
  t.teardown(() => history.stop())
  const silent = async function* (signal: AbortSignal) {
    yield { ok: true }
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
  }
  const board = { read: () => Promise.reject(new Error()), watch: silent } as never
  const { send, fastify } = await start(t, {}, [], { board, history })
  const path = '/api/sync/history'
  t.match(await send(path, { method: 'GET' }), { status: 401 })
  const get = (query: string) => send(`${path}${query}`, { ...asOperator(), method: 'GET' })
  t.match(await get(''), { status: 200, body: { minutes: [] }, headers: { 'cache-control': 'no-store' } })
  for (const hours of ['0', '25', '-1', '1.5', 'x', ''])
    t.match(await get(`?hours=${hours}`), { status: 400, body: { field: 'hours' } })
  t.match(await get('?hours=24&x=1'), { status: 400 })

  const url = await fastify.listen({ host: '127.0.0.1', port: 0 })
  const ending = new AbortController()
  t.teardown(() => ending.abort())
  const { body } = await fetch(`${url}/api/sync/status/stream`, {
    ...asOperator(),
    signal: ending.signal,
  } as RequestInit)
  let text = ''
  void (async () => {
    for await (const chunk of body ?? []) text += Buffer.from(chunk).toString()
  })().catch(() => undefined)
  await until('it is told how it is', () => text.includes('event: status'))
  history.heard([batch(2, { medianMs: 7, worstMs: 8 })])
  await until('a minute has ended', () => text.includes('event: minute'))
  const [, json = ''] = /event: minute\ndata: (.*)\n\n/.exec(text) ?? []
  t.match(JSON.parse(json), { direction: 'sql-to-postgres', changes: 2, medianMs: 7, worstMs: 8 })
  t.match(await get('?hours=1'), { status: 200, body: { minutes: [{ changes: 2, medianMs: 7 }] } })
})

t.test('counting costs nothing worth naming', async (t) => {
  const { history } = kept()
  const one = batch(200, { medianMs: 12, worstMs: 40 })
  for (let n = 0; n < 1_000; n++) history.heard([one])
  const began = performance.now()
  for (let n = 0; n < 10_000; n++) history.heard([one])
  const each = (performance.now() - began) / 10_000
  t.comment(`${(each * 1000).toFixed(1)} µs for a batch of 200`)
  t.ok(each < 0.2, `${each} ms`)
})
