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
    parameters: [
      { name: 'QueueID', type: BIGINT },
      { name: 'BeatMs', type: INT, default: null, since: '11_wait_heartbeat.sql' },
    ],
    lockTimeout: -1,
    beatMs: ([, beatMs = null]) => beatMs as number | null,
    run({ tx }, [id = null, beatMs = null]) {
      if (id === null) throw malformed('sync.AwaitTransaction: @QueueID is missing')
      if (beatMs !== null && (beatMs as number) < 1) throw malformed('sync.AwaitTransaction: @BeatMs is below 1')
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
