import { type Outcome, type OutcomeBatch, outcomeBatchValidator, type SyncEvent } from '@clinic-sync/contracts'
import { DatabaseError, SyncError } from '@clinic-sync/sync'
import t from 'tap'
import {
  startEventConsumer,
  type Broker,
  type Disposition,
  type EventBatch,
  type EventHandler,
  type Step,
  type Waited,
} from '../src/index.ts'
import { keepLines, note } from './support/helpers.ts'

type Apply = (events: readonly SyncEvent[]) => Promise<readonly Outcome[]>

/** The handler that a consumer gives to its broker, with what it publishes and the steps it goes through. */
function handlerFor(applyChanges: Apply) {
  const published: OutcomeBatch[] = []
  const steps: Step[] = []
  const log = keepLines()
  let handler: EventHandler = () => Promise.resolve([])
  const broker = {
    consumeEvents: (_direction: unknown, given: EventHandler) => {
      handler = given
      return { state: 'consuming', close: () => Promise.resolve() }
    },
    publishOutcomes: (batch: OutcomeBatch) => {
      published.push(batch)
      return Promise.resolve()
    },
    willDie: (attempt: number) => attempt >= 3,
  } as unknown as Broker
  startEventConsumer({
    broker,
    direction: 'sql-to-postgres',
    target: { applyChanges, check: () => Promise.resolve() },
    log,
    onStep: (step) => void steps.push(step),
  })
  const handle = (batch: Omit<EventBatch, 'room'>, room = 200) => handler({ ...batch, room })
  return { handle, published, steps, log }
}

const applied: Apply = (events) =>
  Promise.resolve(
    events.map(({ data: { table, key, version } }) => ({ table, key, version, outcome: 'applied' as const })),
  )
const delivery = (event: SyncEvent, attempt = 0, waited?: Waited) => ({ event, attempt, ...(waited && { waited }) })
/** As much as an event is put off in its consumer. */
const LONG: Waited = { times: 9, ms: 1_000 }
const locked = (code = '1222') =>
  new DatabaseError(code === '23503' ? 'parent' : 'transient', `not now (${code})`, { number: code })
const actions = (dispositions: readonly Disposition[]) => dispositions.map(({ action }) => action)

t.test('a batch is applied, reported, and only then done with', async (t) => {
  const { handle, published, steps } = handlerFor(applied)
  const result = await handle({ events: [delivery(note(1, 1)), delivery(note(2, 2))], bad: [] })
  t.strictSame(actions(result), ['done', 'done'])
  t.strictSame(
    published[0]?.outcomes.map(({ key, outcome }) => [key, outcome]),
    [
      [1, 'applied'],
      [2, 'applied'],
    ],
  )
  t.strictSame(steps, ['received', 'applied', 'outcomes-published'])
})

t.test('a batch says how long its changes took that have arrived with it, by its source’s clock', async (t) => {
  const { handle, published } = handlerFor((events) =>
    Promise.resolve(
      events.map(({ data: { table, key, version } }) => ({
        table,
        key,
        version,
        outcome: key === 9 ? ('stale' as const) : ('applied' as const),
      })),
    ),
  )
  const ago = (key: number, ms: number) => ({ ...note(key, 1), time: new Date(Date.now() - ms).toISOString() })
  await handle({
    events: [ago(1, 9_000), ago(2, 2_000), ago(3, 1_000), ago(9, 500_000)].map((each) => delivery(each)),
    bad: [],
  })
  const { medianMs = 0, worstMs = 0 } = published[0]?.latency ?? {}
  t.ok(medianMs >= 2_000 && medianMs < 3_000, `${medianMs} ms`)
  t.ok(worstMs >= 9_000 && worstMs < 10_000, `${worstMs} ms`)
  await handle({ events: [delivery(ago(1, -60_000))], bad: [] })
  t.same(published[1]?.latency, { medianMs: 0, worstMs: 0 }, 'a clock that is ahead')
  await handle({ events: [delivery(ago(9, 1))], bad: [] })
  t.notOk(published[2] !== undefined && 'latency' in published[2], 'nothing has arrived')
  await handle({ events: [delivery({ ...note(1, 1), time: 'some time' })], bad: [] })
  t.notOk(published[3] !== undefined && 'latency' in published[3], 'nobody knows')
  t.ok(published.every((batch) => outcomeBatchValidator.Check(batch)))
  t.ok(outcomeBatchValidator.Check({ ...published[0], another: 1 }), 'and a field of a later version is passed over')
})

t.test('a database that is down stops the batch: nothing is reported, nothing done', async (t) => {
  const { handle, published } = handlerFor(() => Promise.reject(new DatabaseError('down', 'refused')))
  await t.rejects(handle({ events: [delivery(note(1, 1))], bad: [] }), { code: 'SYNC_DATABASE_DOWN' })
  t.equal(published.length, 0)
})

t.test('each failure becomes its disposition: retry, dead, and dead after the last retry', async (t) => {
  const { handle, published } = handlerFor((events) => {
    const [first] = events
    if (events.length > 1) return Promise.reject(new DatabaseError('transient', 'together'))
    switch (first?.data.key) {
      case 1:
        return Promise.reject(new DatabaseError('transient', 'deadlock (40P01)', { number: '40P01' }))
      case 2:
        return Promise.reject(new DatabaseError('permanent', 'too long (22001)', { number: '22001' }))
      case 3:
        return Promise.resolve([{ ...first.data, outcome: 'retry', reason: 'aligner_sets/9 is missing' }])
      case 4:
        return Promise.reject(new TypeError('Leila'))
      default:
        return applied(events)
    }
  })
  const events = [
    delivery(note(1, 1), 0, LONG),
    delivery(note(2, 1)),
    delivery(note(3, 1), 0, LONG),
    delivery(note(3, 2), 3, LONG),
    delivery(note(4, 1)),
    delivery(note(5, 1)),
  ]
  const result = await handle({ events, bad: [] })
  t.strictSame(actions(result), ['retry', 'dead', 'done', 'dead', 'retry', 'done'])
  t.match(result, [
    { failure: { type: 'transient', code: '40P01' } },
    { failure: { type: 'permanent', code: '22001' } },
    {},
    { failure: { type: 'parent', message: 'aligner_sets/9 is missing' } },
    { failure: { type: 'unexpected', code: 'TypeError' } },
  ])
  t.strictSame(
    published[0]?.outcomes.map(({ key, version, outcome }) => `${key} ${version} ${outcome}`),
    [
      '1 1 retry',
      '2 1 dead',
      // Superseded by the version that died with it.
      '3 1 stale',
      '3 2 dead',
      '4 1 retry',
      '5 1 applied',
    ],
  )
  t.notMatch(JSON.stringify([result, published]), /Leila/)
})

t.test('an older version in the same batch is settled with the newer one, or waits with it', async (t) => {
  const { handle, published } = handlerFor((events) =>
    events[0]?.data.key === 1 && events.length === 1
      ? Promise.reject(new DatabaseError('transient', 'a lock'))
      : events.length > 1
        ? Promise.reject(new DatabaseError('transient', 'together'))
        : applied(events),
  )
  const events = [note(1, 1), note(2, 5), note(1, 2), note(2, 4)].map((event) => delivery(event))
  t.strictSame(actions(await handle({ events, bad: [] })), ['retry', 'done', 'retry', 'done'])
  t.strictSame(
    published[0]?.outcomes.map(({ key, version, outcome }) => `${key} ${version} ${outcome}`),
    ['1 1 retry', '2 5 applied', '1 2 retry', '2 4 stale'],
  )
})

t.test('no version is left without a final outcome when a newer one of its record dies in the end', async (t) => {
  const { handle, published } = handlerFor(() => Promise.reject(new DatabaseError('transient', 'a lock')))
  let waiting = [delivery(note(1, 5)), delivery(note(1, 7), 1)]
  while (waiting.length > 0) {
    const rulings = await handle({ events: waiting, bad: [] })
    waiting = waiting.flatMap(({ event, attempt }, i) =>
      rulings[i]?.action === 'retry' ? [delivery(event, attempt + 1)] : [],
    )
  }
  const last = new Map(published.flatMap(({ outcomes }) => outcomes.map(({ version, outcome }) => [version, outcome])))
  t.strictSame([...last].toSorted(), [
    ['5', 'stale'],
    ['7', 'dead'],
  ])
})

t.test(
  'an older version is settled as superseded by the newer one that is dead, and makes no dead letter',
  async (t) => {
    const { handle, published } = handlerFor(() =>
      Promise.reject(new DatabaseError('permanent', 'too long', { number: '22001' })),
    )
    const events = [note(1, 5), note(1, 7)].map((event) => delivery(event))
    t.strictSame(actions(await handle({ events, bad: [] })), ['done', 'dead'])
    t.match(published[0]?.outcomes, [
      { version: '5', outcome: 'stale', reason: 'version 7 is dead and stands for it' },
      { version: '7', outcome: 'dead', code: '22001' },
    ])
  },
)

t.test(
  'an event that came twice in one batch is reported once: stale, it would tell of a restored database',
  async (t) => {
    for (const [apply, action, outcome] of [
      [applied, 'done', 'applied'],
      [() => Promise.reject(new DatabaseError('permanent', 'too long', { number: '22001' })), 'dead', 'dead'],
      [() => Promise.reject(new DatabaseError('transient', 'a lock')), 'retry', 'retry'],
    ] as const) {
      const { handle, published } = handlerFor(apply)
      const events = [note(1, 5), note(1, 5)].map((event) => delivery(event))
      t.strictSame(actions(await handle({ events, bad: [] })), [action, 'done'])
      t.match(published[0]?.outcomes, [{ version: '5', outcome }])
      t.equal(published[0]?.outcomes.length, 1)
    }
  },
)

t.test(
  'a value that another record may be about to give free waits in hand, then once in the queue, then is dead',
  async (t) => {
    const { handle } = handlerFor(() =>
      Promise.reject(new DatabaseError('permanent', 'must be unique', { number: '23505' })),
    )
    const ruled = async (attempt: number, waited?: Waited, room = 200) =>
      (await handle({ events: [delivery(note(1, 1), attempt, waited)], bad: [] }, room))[0]
    t.match(await ruled(0), { action: 'later', afterMs: Number })
    t.match(await ruled(0, LONG), { action: 'retry', failure: { type: 'permanent', code: '23505' } })
    t.match(await ruled(0, undefined, 0), { action: 'retry' })
    t.match(await ruled(1), { action: 'later' })
    t.match(await ruled(1, LONG), { action: 'dead', failure: { type: 'permanent', code: '23505' } })
  },
)

t.test('a message that could not be read is reported as dead where its headers say what it was', async (t) => {
  const { handle, published, log } = handlerFor(applied)
  const error = new SyncError('SYNC_BAD_MESSAGE', 'wrong or missing: data.version')
  await handle({
    events: [],
    bad: [
      { error, about: { table: 'work', key: 7, version: '3' } },
      { error, about: null },
    ],
  })
  t.strictSame(published, [
    {
      direction: 'sql-to-postgres',
      outcomes: [
        { table: 'work', key: 7, version: '3', outcome: 'dead', code: 'SYNC_BAD_MESSAGE', reason: error.message },
      ],
    },
  ])
  t.equal(log.lines.filter(({ level }) => level === 'error').length, 2)
})

t.test(
  'what somebody holds, and what misses its parent, is put off for 10, 20, 40 … ms, and reported only when a second is over',
  async (t) => {
    const codes = ['55P03', '1222', '40P01', '1205', '40001', '23503']
    for (const code of codes) {
      for (const apply of [
        () => Promise.reject(locked(code)),
        ([event]: readonly SyncEvent[]) =>
          Promise.resolve(
            event === undefined ? [] : [{ ...event.data, outcome: 'retry' as const, code, reason: 'locked' }],
          ),
      ]) {
        const { handle, published } = handlerFor(apply)
        for (const [times, ms] of [10, 20, 40, 80, 160, 160].entries()) {
          const waited = times === 0 ? undefined : { times, ms: 100 * times }
          const [ruling] = await handle({ events: [delivery(note(1, 1), 0, waited)], bad: [] })
          t.equal(ruling?.action, 'later', code)
          if (ruling?.action === 'later') t.ok(Math.abs(ruling.afterMs - ms) <= ms / 5, `${ruling.afterMs}`)
        }
        t.equal(published.length, 0)
        t.match(await handle({ events: [delivery(note(1, 1), 0, LONG)], bad: [] }), [
          { action: 'retry', failure: { type: code === '23503' ? 'parent' : 'transient', code } },
        ])
        t.match(await handle({ events: [delivery(note(1, 1), 3, LONG)], bad: [] }), [{ action: 'dead' }])
        t.strictSame(
          published.flatMap(({ outcomes }) => outcomes.map(({ outcome }) => outcome)),
          ['retry', 'dead'],
        )
      }
    }
  },
)

t.test('other transient failures are not put off', async (t) => {
  for (const code of ['51222', '57014', undefined]) {
    const { handle } = handlerFor(() => Promise.reject(new DatabaseError('transient', 'x', { number: code })))
    t.match(await handle({ events: [delivery(note(1, 1))], bad: [] }), [{ action: 'retry' }])
  }
})

t.test('the versions of a locked record wait together; no more events than have room', async (t) => {
  const { handle, published } = handlerFor((events) =>
    Promise.resolve(
      events.map(({ data }) =>
        data.key === 9 ? { ...data, outcome: 'applied' } : { ...data, outcome: 'retry', code: '1222' },
      ),
    ),
  )
  const events = [note(1, 1), note(1, 2), note(9, 3), note(2, 1), note(3, 1)].map((event) => delivery(event))
  t.strictSame(actions(await handle({ events, bad: [] })), ['later', 'later', 'done', 'later', 'later'])
  t.strictSame(
    published.map(({ outcomes }) => outcomes.map(({ key }) => key)),
    [[9]],
  )
  const rulings = actions(await handle({ events, bad: [] }, 2))
  t.strictSame(rulings.filter((action) => action === 'later').length, 2)
  t.strictSame(rulings.filter((action) => action === 'retry').length, 2)
  t.strictSame(actions(await handle({ events, bad: [] }, 0)), ['retry', 'retry', 'done', 'retry', 'retry'])
})

t.test('a batch that only met somebody is applied as it is twice more, and then bisected', async (t) => {
  const sizes: number[] = []
  let failures = 2
  const { handle } = handlerFor((events) => {
    sizes.push(events.length)
    return failures-- > 0 ? Promise.reject(locked('1205')) : applied(events)
  })
  const events = [1, 2, 3, 4].map((key) => delivery(note(key, 1)))
  t.strictSame(actions(await handle({ events, bad: [] })), ['done', 'done', 'done', 'done'])
  t.strictSame(sizes, [4, 4, 4])

  sizes.length = 0
  failures = 3
  t.strictSame(actions(await handle({ events, bad: [] })), ['done', 'done', 'done', 'done'])
  t.strictSame(sizes, [4, 4, 4, 2, 2])

  sizes.length = 0
  failures = 1
  const again = events.map((each) => ({ ...each, waited: { times: 1, ms: 10 } }))
  t.strictSame(actions(await handle({ events: again, bad: [] })), ['done', 'done', 'done', 'done'])
  t.strictSame(sizes, [4, 2, 2], 'those put off have been tried as they are')
})

t.test('a batch that fails for good is bisected at once', async (t) => {
  const sizes: number[] = []
  const { handle } = handlerFor((events) => {
    sizes.push(events.length)
    return events.some(({ data }) => data.key === 1)
      ? Promise.reject(new DatabaseError('permanent', 'too long', { number: '22001' }))
      : applied(events)
  })
  t.strictSame(actions(await handle({ events: [delivery(note(1, 1)), delivery(note(2, 1))], bad: [] })), [
    'dead',
    'done',
  ])
  t.strictSame(sizes, [2, 1, 1])
})
