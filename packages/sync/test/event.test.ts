import { syncEventValidator, type Change, type SyncEvent } from '@clinic-sync/contracts'
import t from 'tap'
import { collapse, toEvent } from '../src/index.ts'

const change = (over: Partial<Change> = {}): Change =>
  ({
    table: 'aligner_notes',
    key: 123,
    version: '4711',
    seen: '5',
    since: null,
    base: null,
    row: { note_id: 123 },
    capturedAt: '2026-01-31T08:15:30.123Z',
    ...over,
  }) as Change

t.test('a change becomes an event', async (t) => {
  t.same(toEvent('clinic', change()), {
    specversion: '1.0',
    id: 'clinic/aligner_notes/123/4711',
    source: 'clinic',
    type: 'sync.row.upserted.v1',
    subject: 'aligner_notes/123',
    time: '2026-01-31T08:15:30.123Z',
    data: {
      table: 'aligner_notes',
      key: 123,
      version: '4711',
      seen: '5',
      since: null,
      base: null,
      row: { note_id: 123 },
    },
  })
  const gone = toEvent('portal', change({ key: -1, row: null }))
  t.match(gone, {
    type: 'sync.row.deleted.v1',
    source: 'portal',
    id: 'portal/aligner_notes/-1/4711',
    data: { row: null },
  })
  for (const event of [toEvent('clinic', change()), gone]) t.ok(syncEventValidator.Check(event))
  t.equal(toEvent('clinic', change()).id, toEvent('clinic', change({ row: { note_id: 7 } })).id, 'same change, same id')
})

const events = (versions: readonly [key: number, version: string][]) =>
  versions.map(([key, version]) => toEvent('clinic', change({ key, version })))
const ids = (list: readonly SyncEvent[]) => list.map(({ id }) => id.replace('clinic/aligner_notes/', ''))
const self = (event: SyncEvent) => event

t.test('a batch keeps the newest of each record', async (t) => {
  const { newest, superseded } = collapse(
    events([
      [1, '9'],
      [2, '1'],
      [1, '10'],
      [1, '2'],
      [2, '1'],
    ]),
    self,
  )
  t.same(ids(newest), ['1/10', '2/1'], 'versions compare as numbers')
  t.same(ids(superseded), ['1/9', '1/2', '2/1'])
  t.same(collapse([], self), { newest: [], superseded: [] })
})

t.test('in whatever order they come', async (t) => {
  const all = events([
    [1, '1'],
    [1, '2'],
    [1, '30'],
    [2, '4'],
  ])
  for (const order of permutations(all)) {
    const { newest, superseded } = collapse(order, self)
    t.same(ids(newest).sort(), ['1/30', '2/4'])
    t.equal(newest.length + superseded.length, all.length)
  }
})

t.test('keys of different tables are different records', async (t) => {
  const list = [toEvent('clinic', change({ table: 'work' })), toEvent('clinic', change({ table: 'patients' }))]
  t.equal(collapse(list, self).newest.length, 2)
})

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length < 2) return [[...items]]
  return items.flatMap((item, i) =>
    permutations([...items.slice(0, i), ...items.slice(i + 1)]).map((p) => [item, ...p]),
  )
}
