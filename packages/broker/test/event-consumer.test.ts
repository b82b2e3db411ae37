import type { Outcome, OutcomeBatch, SyncEvent } from '@clinic-sync/contracts'
import { DatabaseError, SyncError } from '@clinic-sync/sync'
import t from 'tap'
import { startEventConsumer, type Broker, type Disposition, type EventHandler, type Step } from '../src/index.ts'
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
  return { handle: handler, published, steps, log }
}

const applied: Apply = (events) =>
  Promise.resolve(
    events.map(({ data: { table, key, version } }) => ({ table, key, version, outcome: 'applied' as const })),
  )
const delivery = (event: SyncEvent, attempt = 0) => ({ event, attempt })
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
    delivery(note(1, 1)),
    delivery(note(2, 1)),
    delivery(note(3, 1)),
    delivery(note(3, 2), 3),
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
      '3 1 dead',
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
    ['5', 'dead'],
    ['7', 'dead'],
  ])
})

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
