// What sync.TakeChanges gives, of this version and of others.
import t from 'tap'
import { taken } from '../src/taken.ts'
import { openZone } from '../src/zone.ts'

const zone = openZone('Asia/Baghdad')

t.test('a database of the version before says not up to where it has looked', async (t) => {
  t.strictSame(taken([], { Rows: 3, Locked: 1 }, zone), { changes: [], rows: 3, locked: 1 })
})

t.test('the last row that was looked at is a text, or null for none', async (t) => {
  const totals = { Rows: 3, Locked: 0, Last: '9007199254740993' }
  t.strictSame(taken([], totals, zone), { changes: [], rows: 3, locked: 0, last: '9007199254740993' })
  t.strictSame(taken([], { Rows: 0, Locked: 0, Last: null }, zone), { changes: [], rows: 0, locked: 0, last: null })
})

t.test('procedures of another version are said to be so', async (t) => {
  const change = {
    TableName: 'invoices',
    RecordID: 7,
    Version: '1',
    Seen: '0',
    AgeMs: '5',
    Deleted: true,
    RowData: null,
  }
  for (const [rows, totals] of [
    [[], undefined],
    [[change], { Rows: 1, Locked: 0, Last: '1' }],
  ] as const)
    t.throws(() => taken(rows, totals, zone), { code: 'SYNC_NOT_MIGRATED' })
})
