import type { Procedure } from '../engine/database.ts'
import { isBlocked } from '../engine/locks.ts'
import { tableRelation } from '../engine/relation.ts'
import { resultColumn } from '../engine/work.ts'
import { BIGINT, BIT, INT } from '../values/types.ts'
import { malformed } from './malformed.ts'
import type { Outbox } from './outbox.ts'

/** `sync.OpenTransactions`: per session, the lowest row of the outbox that is not committed yet. */
export function openTransactions(outbox: Outbox): Procedure {
  return {
    name: 'OpenTransactions',
    parameters: [],
    run({ tx }) {
      const first = new Map<number, bigint>()
      for (const row of outbox.pending()) {
        const session = (row.values[outbox.at.SessionID] as number | null) ?? 0
        if (!first.has(session) && isBlocked(tx, row, 'S')) first.set(session, outbox.id(row))
      }
      const columns = [resultColumn('SessionID', INT), resultColumn('QueueID', BIGINT)]
      return [{ columns, rows: [...first], count: first.size }]
    },
  }
}

/** `sync.AwaitTransaction @QueueID`: returns once that row is committed, or gone, however long it takes. */
export function awaitTransaction(outbox: Outbox): Procedure {
  return {
    name: 'AwaitTransaction',
    parameters: [{ name: 'QueueID', type: BIGINT }],
    lockTimeout: -1,
    run({ tx }, [id = null]) {
      if (id === null) throw malformed('sync.AwaitTransaction: @QueueID is missing')
      const read = tableRelation(outbox.table).lookup(outbox.at.QueueID, { tx, mode: 'S', onLocked: 'wait' })
      // Blocked until nobody holds the row any more.
      for (const _ of read?.(id) ?? []) break
      return [{ columns: [resultColumn('Ended', BIT)], rows: [[true]], count: 1 }]
    },
  }
}

/** `sync.OpenRows`: rows that are on their way. */
export function openRows({ table, at }: Outbox): Procedure {
  return {
    name: 'OpenRows',
    parameters: [],
    run({ tx }) {
      const rows = [...tableRelation(table).scan({ tx, mode: 'S', onLocked: 'skip' })].flatMap(({ values }) =>
        values[at.Status] === 'Pending' || values[at.Status] === 'Queued'
          ? [[values[at.QueueID] ?? null, values[at.LastError] !== null]]
          : [],
      )
      return [{ columns: [resultColumn('QueueID', BIGINT), resultColumn('Retrying', BIT)], rows, count: rows.length }]
    },
  }
}
