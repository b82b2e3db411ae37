import type { Outcome, OutcomeKind } from '@clinic-sync/contracts'
import { TABLE_NAMES, type TableName } from '@clinic-sync/mapping'
import t from 'tap'
import { backfill, type BackfillPorts, MAX_IN_FLIGHT } from '../src/backfill/backfill.ts'

interface Fake extends BackfillPorts {
  readonly log: string[]
  /** Queue ids without an outcome. */
  readonly open: Set<string>
  /** Rows that were on their way at most. */
  most: number
}

interface FakeOptions {
  /** Rows a table has. */
  readonly rows?: number
  /** What becomes of a record; 'lost': settled, but nobody hears of it; 'never': nothing at all. */
  readonly fate?: (table: TableName, key: number) => OutcomeKind | 'lost' | 'never'
}

/** A clinic, a broker and an ingress in memory: outcomes come a little after the ring that published the rows. */
function fake({ rows = 3, fate = () => 'applied' }: FakeOptions = {}): Fake {
  const watermark = new Map<TableName, number>()
  const pending: { table: TableName; key: number }[] = []
  let hear: (outcomes: readonly Outcome[]) => void = () => undefined
  const self: Fake = {
    log: [],
    open: new Set(),
    most: 0,
    async backfillPage(table, max, restart) {
      const from = restart ? 0 : (watermark.get(table) ?? 0)
      const to = Math.min(rows, from + max)
      for (let key = from + 1; key <= to; key++) {
        pending.push({ table, key })
        self.open.add(`${table}/${key}`)
      }
      watermark.set(table, to)
      self.most = Math.max(self.most, self.open.size)
      if (to > from) self.log.push(`${table} ${from + 1}-${to}`)
      return { queued: to - from, done: to, total: rows, finished: to === rows }
    },
    async ring() {
      const published = pending.splice(0)
      setTimeout(() => {
        const outcomes = published.flatMap(({ table, key }): Outcome[] => {
          const outcome = fate(table, key)
          if (outcome !== 'never' && outcome !== 'retry') self.open.delete(`${table}/${key}`)
          return outcome === 'lost' || outcome === 'never' ? [] : [{ table, key, version: '1', outcome }]
        })
        if (outcomes.length > 0) hear(outcomes)
      }, 1)
    },
    async unsettled() {
      return { open: self.open, retrying: new Set() }
    },
    async watchOutcomes(onOutcomes) {
      hear = onOutcomes
      return {
        async stop() {
          hear = () => undefined
          self.log.push('stopped watching')
        },
      }
    },
  }
  return self
}

t.test('queues every table, parents first, and waits for each before the next', async (t) => {
  const ports = fake()
  const result = await backfill(ports)
  t.same(ports.log, [...TABLE_NAMES.map((name) => `${name} 1-3`), 'stopped watching'])
  t.match(result, { queued: 21, dead: 0, unsettled: 0 })
  t.equal(result.outcomes.get('applied'), 21)
  t.equal(ports.most, 3, 'no table began before the one before it was heard of')
})

t.test('goes through a large table in pages, with a bounded number of rows on their way', async (t) => {
  const ports = fake({ rows: 10_000 })
  const result = await backfill(ports, { tables: ['aligner_notes'] })
  t.equal(result.queued, 10_000)
  t.ok(ports.most <= MAX_IN_FLIGHT, `${ports.most} rows`)
})

t.test('goes on from the watermark; --restart begins again', async (t) => {
  const ports = fake()
  await backfill(ports)
  t.match(await backfill(ports), { queued: 0, unsettled: 0 })
  t.match(await backfill(ports, { tables: ['work'], restart: true }), { queued: 3 })
})

t.test('rows that an interrupted run left in the outbox are rung for', async (t) => {
  const ports = fake({ rows: 1 })
  const stop = new AbortController()
  const ring = ports.ring
  ports.ring = async () => {
    if (ports.open.size > 0) stop.abort()
  }
  await t.rejects(backfill(ports, { signal: stop.signal }), { name: 'AbortError' })
  t.equal(ports.open.size, 1)
  ports.ring = ring
  t.match(await backfill(ports, { silenceMs: 50 }), { queued: 6, unsettled: 0 })
  t.equal(ports.open.size, 0)
})

t.test('a missed outcome does not hang: the outbox says that the row is settled', async (t) => {
  const ports = fake({ fate: (table, key) => (table === 'work' && key === 2 ? 'lost' : 'applied') })
  t.match(await backfill(ports, { silenceMs: 30 }), { queued: 21, unsettled: 0, dead: 0 })
})

t.test('says so when nothing ever comes', async (t) => {
  await t.rejects(backfill(fake({ fate: () => 'never' }), { silenceMs: 5 }), { code: 'SYNC_INGRESS' })
})

t.test('dead rows are counted, and hold nobody up', async (t) => {
  const ports = fake({ fate: (table, key) => (table === 'aligner_doctors' && key === 1 ? 'dead' : 'applied') })
  t.match(await backfill(ports), { queued: 21, dead: 1, unsettled: 0 })
})

t.test('retried rows are waited for at the end, but not for ever', async (t) => {
  const ports = fake({ fate: (table) => (table === 'aligner_sets' ? 'retry' : 'applied') })
  const result = await backfill(ports, { retryWaitMs: 30, silenceMs: 10 })
  t.equal(result.outcomes.get('retry'), 3)
  t.equal(result.unsettled, 3)
})
