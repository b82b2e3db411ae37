import type { SqlValue } from '../values/types.ts'
import type { Database } from './database.ts'
import type { Table } from './table.ts'
import { Transaction } from './transaction.ts'

/** A database's committed rows at one moment, and where its counters were: what a backup holds. */
export interface Snapshot {
  readonly tables: ReadonlyMap<Table, { readonly rows: readonly (readonly SqlValue[])[]; readonly identity: number }>
  readonly queueId: bigint
}

/** Nothing may be in flight. */
export function takeSnapshot(db: Database): Snapshot {
  const tables = new Map(
    db.tables.map((table) => {
      const rows = table.scan().filter((row) => !row.deleted && !row.gone)
      return [table, { rows: rows.map(({ values }) => [...values]), identity: table.identity }] as const
    }),
  )
  return { tables, queueId: db.queueId }
}

/** As RESTORE DATABASE: every row, key and queue id is as it was. Nobody may be connected. */
export function restoreSnapshot(db: Database, { tables, queueId }: Snapshot): void {
  const tx = new Transaction(0)
  for (const table of tables.keys())
    for (const row of table.scan().slice()) if (!row.deleted && !row.gone) table.delete(tx, row)
  tx.commit()
  const back = new Transaction(0)
  for (const [table, { rows, identity }] of tables) {
    for (const values of rows) table.insert(back, values)
    table.identity = identity
  }
  back.commit()
  db.queueId = queueId
}
