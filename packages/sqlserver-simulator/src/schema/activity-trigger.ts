import type { Trigger } from '../engine/database.ts'
import type { Table } from '../engine/table.ts'
import { complete, emptyRow, insertRows, nextIdentity } from '../engine/write.ts'

/** The clinic's own trigger: a flag for the staff when a batch's days change. As theirs do, it moves @@IDENTITY. */
export function activityTrigger(batches: Table, flags: Table): Trigger {
  const [days, set, key] = [batches.ordinal('Days'), batches.ordinal('AlignerSetID'), batches.ordinal('AlignerBatchID')]
  return {
    name: 'trg_AlignerBatches_DaysActivity',
    table: batches,
    fire(work, changes) {
      const rows = changes.flatMap(({ before, after }) => {
        if (before === null || after === null || before[days] === after[days]) return []
        const values = emptyRow(work, flags)
        const identity = nextIdentity(work, flags)
        values[flags.ordinal('ActivityID')] = identity
        values[flags.ordinal('AlignerSetID')] = after[set] ?? null
        values[flags.ordinal('ActivityType')] = 'DaysChanged'
        values[flags.ordinal('RelatedRecordID')] = after[key] ?? null
        work.session.insertedByTrigger(BigInt(identity))
        return [complete(flags, values)]
      })
      if (rows.length > 0) insertRows(work, flags, rows)
    },
  }
}
