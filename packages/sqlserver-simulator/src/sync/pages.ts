import type { TableName } from '@clinic-sync/mapping'
import type { Procedure } from '../engine/database.ts'
import { nowDatetime2 } from '../engine/clock.ts'
import { acquire } from '../engine/locks.ts'
import type { Access, Found } from '../engine/relation.ts'
import { resultColumn, type Work } from '../engine/work.ts'
import { complete, emptyRow, insertRows } from '../engine/write.ts'
import { BIT, INT, MAX, nvarchar, type SqlValue } from '../values/types.ts'
import { checkedFlag, checkedMax, checkedTable } from './arguments.ts'
import { enqueue } from './capture.ts'
import { inScope, type Records, rowData } from './records.ts'

const TABLE = { name: 'Table', type: nvarchar(100) }
const LIMIT = { name: 'Max', type: INT }
const ROWS = [resultColumn('RecordID', INT), resultColumn('RowData', nvarchar(MAX))]
const PAGE = [
  resultColumn('Queued', INT),
  resultColumn('Done', INT),
  resultColumn('Total', INT),
  resultColumn('Finished', BIT),
]

/** The synced rows of a table with keys above `after`, in key order. */
function* synced(
  all: ReadonlyMap<string, Records>,
  records: Records,
  after: number | null,
  access: Access,
): Iterable<Found> {
  const isAfter = (values: readonly SqlValue[]) => after === null || (values[records.key] as number) > after
  for (const found of records.relation.scan(access, isAfter)) {
    if (!isAfter(found.values)) continue
    if (inScope(all, records, found, access)) yield found
  }
}

function first<T>(items: Iterable<T>, max: number): T[] {
  const found: T[] = []
  if (max <= 0) return found
  for (const item of items) {
    found.push(item)
    if (found.length >= max) break
  }
  return found
}

/** `sync.ReadRows @Table, @After, @Max`. */
export function readRows(all: ReadonlyMap<string, Records>): Procedure {
  return {
    name: 'ReadRows',
    parameters: [TABLE, { name: 'After', type: INT }, LIMIT],
    run(work, [name, after, max]) {
      const records = checkedTable('sync.ReadRows', all, name)
      const limit = checkedMax('sync.ReadRows', max)
      const access = { tx: work.tx, mode: 'S', onLocked: 'wait' } as const
      const found = first(synced(all, records, after as number | null, access), limit)
      return [
        {
          columns: ROWS,
          rows: found.map((f) => [f.values[records.key] ?? null, rowData(records, f)]),
          count: found.length,
        },
      ]
    },
  }
}

/** What is backfilled: the clinic's records. */
const withoutOurs = (all: ReadonlyMap<string, Records>) => new Map([...all].filter(([, { mapped }]) => !mapped.isOurs))

/** `sync.BackfillPage @Table, @Max, @Restart`: queue rows and watermark in one transaction. */
export function backfillPage(all: ReadonlyMap<string, Records>): Procedure {
  return {
    name: 'BackfillPage',
    parameters: [TABLE, LIMIT, { name: 'Restart', type: BIT }],
    run(work, [name, max, restart]) {
      const records = checkedTable('sync.BackfillPage', withoutOurs(all), name)
      const limit = checkedMax('sync.BackfillPage', max)
      const isAnew = checkedFlag('sync.BackfillPage', '@Restart', restart)
      const access = { tx: work.tx, mode: 'S', onLocked: 'wait' } as const
      const mark = watermark(work, records.mapped.name)
      const begin = isAnew || mark.isNew
      let { done, total, last } = begin
        ? { done: 0, total: [...synced(all, records, null, access)].length, last: null }
        : mark
      const keys = first(synced(all, records, last, access), limit).map((f) => f.values[records.key] as number)
      enqueue(
        work,
        keys.map((key) => ({ table: records.mapped.name, key, operation: 'UPDATE' as const })),
      )
      done += keys.length
      const finished = keys.length < limit
      if (finished) total = done
      last = keys.at(-1) ?? last
      mark.write({ LastKey: last, Done: done, Total: total, FinishedAt: finished ? nowDatetime2(3) : null })
      return [{ columns: PAGE, rows: [[keys.length, done, total, finished]], count: 1 }]
    },
  }
}

function watermark(work: Work, name: TableName) {
  const table = work.db.table('sync', 'Backfill')
  const at = (column: string) => table.ordinal(column)
  let row = table.get(table.keyFor([name]))
  const isNew = row === undefined || row.deleted
  if (row !== undefined) acquire(work.tx, row, 'X')
  if (isNew) {
    const values = emptyRow(work, table)
    values[at('TableName')] = name
    insertRows(work, table, [complete(table, values)])
    row = table.get(table.keyFor([name]))
  }
  const stored = row
  if (stored === undefined) throw new Error('the watermark is missing')
  return {
    isNew,
    done: stored.values[at('Done')] as number,
    total: stored.values[at('Total')] as number,
    last: stored.values[at('LastKey')] as number | null,
    write(changes: Readonly<Record<string, SqlValue>>) {
      const values = [...stored.values]
      for (const [column, value] of Object.entries(changes)) values[at(column)] = value
      table.update(work.tx, stored, values)
    },
  }
}
