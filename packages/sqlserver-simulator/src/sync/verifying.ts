import type { Procedure } from '../engine/database.ts'
import { resultColumn } from '../engine/work.ts'
import { BIT, INT, MAX, nvarchar, type } from '../values/types.ts'
import { checkedArray, checkedTables, isInt, isTableName } from './arguments.ts'
import type { Outbox } from './outbox.ts'
import type { Records } from './records.ts'
import { causeOf } from './settle.ts'

const VERSION = type('varchar', 20)
const STATES = [
  resultColumn('Ordinal', INT),
  resultColumn('Applied', VERSION),
  resultColumn('LastID', VERSION),
  resultColumn('IsOpen', BIT),
  resultColumn('Cause', nvarchar(1000)),
]

/** `sync.RecordStates`: what tells a record that is late from one that differs. */
export function recordStates(outbox: Outbox, all: ReadonlyMap<string, Records>): Procedure {
  const { at } = outbox
  return {
    name: 'RecordStates',
    parameters: [{ name: 'Records', type: nvarchar(MAX) }],
    run(work, [text]) {
      const asked = checkedArray('sync.RecordStates', '@Records', text, { table: isTableName, key: isInt })
      const names = asked.map(({ table }) => table)
      checkedTables('sync.RecordStates', '@Records', all, names)
      const states = work.db.table('sync', 'RowState')
      const rows = asked.map((record, index) => {
        const [table, key] = [String(record.table), Number(record.key)]
        const state = states.get(states.keyFor([table, key]))
        const applied =
          state === undefined || state.deleted ? null : (state.values[states.ordinal('SeenPortalVersion')] ?? null)
        const latest = outbox
          .ofRecord(table, key)
          .map(({ values }) => values)
          .sort((a, b) => ((a[at.QueueID] as bigint) < (b[at.QueueID] as bigint) ? 1 : -1))
        const failed = latest.find((values) => values[at.Status] === 'Failed')
        const error = (failed?.[at.LastError] ?? null) as string | null
        return [
          index + 1,
          String(applied ?? 0n),
          latest[0] === undefined ? null : String(latest[0][at.QueueID]),
          latest.some((values) => values[at.Status] === 'Pending' || values[at.Status] === 'Queued'),
          failed === undefined ? null : error === null ? '' : causeOf(error),
        ]
      })
      return [{ columns: STATES, rows, count: rows.length }]
    },
  }
}
