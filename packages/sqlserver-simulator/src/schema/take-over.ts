import type { Database } from '../engine/database.ts'
import { Transaction } from '../engine/transaction.ts'
import { SET_ASIDE } from '../sync/original.ts'
import type { SqlValue } from '../values/types.ts'

const isFinal = (status: SqlValue | undefined) => status === 'Synced' || status === 'Failed'

/**
 * What 01_sync_schema.sql does with an original's SyncQueue: its rows are kept aside as they are, and go on in the outbox, where
 * what had been begun begins anew. Here the table is one and the same before and after.
 */
export function takeOver(db: Database): void {
  const outbox = db.table('dbo', 'SyncQueue')
  const [json, status] = [outbox.ordinal('JsonData'), outbox.ordinal('Status')]
  db.install('dbo', SET_ASIDE)
  const aside = db.table('dbo', SET_ASIDE)
  const tx = new Transaction(0)
  for (const row of outbox.scan().filter(({ deleted }) => !deleted)) {
    aside.insert(tx, row.values.slice(0, aside.columns.length))
    const values = [...row.values]
    values[json] = null
    if (!isFinal(values[status])) values[status] = 'Pending'
    outbox.update(tx, row, values)
  }
  db.table('sync', 'Settings').insert(tx, ['OriginalQueue', 'copied'])
  tx.commit()
}
