import type { Procedure } from '../engine/database.ts'
import { nowDatetime2, UTC_OFFSET_MINUTES } from '../engine/clock.ts'
import { isBlocked } from '../engine/locks.ts'
import { tableRelation } from '../engine/relation.ts'
import type { Row } from '../engine/row.ts'
import { type Result, resultColumn, type Work } from '../engine/work.ts'
import { BIGINT, BIT, datetime2, INT, MAX, nvarchar, type SqlValue, type } from '../values/types.ts'
import {
  checkedArray,
  checkedFlag,
  checkedMax,
  checkedTable,
  checkedTables,
  isBigint,
  isInt,
  isTableName,
} from './arguments.ts'
import { malformed } from './malformed.ts'
import type { Outbox } from './outbox.ts'
import type { Records } from './records.ts'
import { causeOf, isDiscarded } from './settle.ts'
import { set } from './take.ts'

const NEWEST = 200
/** datetime2's unit is 100 ns. */
const TICKS_A_MS = 10_000n

const select = (columns: Result['columns'], rows: Result['rows']): Result => ({ columns, rows, count: rows.length })
/** Rows that no transaction in flight holds. */
const unlocked = ({ tx }: Work, { table }: Outbox) => tableRelation(table).scan({ tx, mode: 'S', onLocked: 'skip' })

const FIGURES = [
  resultColumn('UtcNow', datetime2(7)),
  ...['Pending', 'Queued', 'Synced', 'Failed', 'Retrying'].map((name) => resultColumn(name, INT)),
  resultColumn('OldestPendingMs', BIGINT),
  resultColumn('OldestQueuedMs', BIGINT),
]
const CAUSES = [resultColumn('Cause', nvarchar(1000)), resultColumn('Rows', INT)]
const LAST = [
  resultColumn('TableName', nvarchar(100)),
  resultColumn('RecordID', INT),
  resultColumn('CapturedMs', BIGINT),
  resultColumn('SettledMs', BIGINT),
]

/** `sync.OutboxStatus`: the outbox in figures. */
export function outboxStatus(outbox: Outbox): Procedure {
  const { at } = outbox
  return {
    name: 'OutboxStatus',
    parameters: [],
    run(work) {
      const now = nowDatetime2(3)
      const ms = (from: SqlValue | undefined) => (now - (from as bigint)) / TICKS_A_MS
      const counts = new Map<string, number>()
      const oldest = new Map<string, readonly SqlValue[]>()
      const causes = new Map<string | null, number>()
      const synced: (readonly SqlValue[])[] = []
      let retrying = 0
      for (const { values } of unlocked(work, outbox)) {
        const status = String(values[at.Status])
        const error = (values[at.LastError] ?? null) as string | null
        counts.set(status, (counts.get(status) ?? 0) + 1)
        const first = oldest.get(status)
        if (first === undefined || id(first) > id(values)) oldest.set(status, values)
        if (status === 'Queued' && error !== null) retrying++
        if (status === 'Synced') synced.push(values)
        if (status !== 'Failed') continue
        const cause = error === null ? null : causeOf(error)
        causes.set(cause, (causes.get(cause) ?? 0) + 1)
      }
      const age = (status: string) => {
        const first = oldest.get(status)
        if (first === undefined) return null
        const found = ms(first[at.CreatedAt])
        return found < 0n ? 0n : found
      }
      const figures = [
        nowDatetime2(7) - BigInt(UTC_OFFSET_MINUTES) * 60_000n * TICKS_A_MS,
        ...['Pending', 'Queued', 'Synced', 'Failed'].map((status) => counts.get(status) ?? 0),
        retrying,
        age('Pending'),
        age('Queued'),
      ]
      const settledAt = (values: readonly SqlValue[]) => values[at.LastAttempt] as bigint
      const [last] = synced
        .sort((a, b) => descending(id(a), id(b)))
        .slice(0, NEWEST)
        .filter((values) => values[at.LastAttempt] !== null)
        .sort((a, b) => descending(settledAt(a), settledAt(b)) || descending(id(a), id(b)))
      const lastRow = last && [
        last[at.TableName] ?? null,
        last[at.RecordID] ?? null,
        ms(last[at.CreatedAt]),
        ms(last[at.LastAttempt]),
      ]
      return [select(FIGURES, [figures]), select(CAUSES, [...causes]), select(LAST, lastRow ? [lastRow] : [])]
    },
  }

  function id(values: readonly SqlValue[]): bigint {
    return values[at.QueueID] as bigint
  }
}

const descending = (a: bigint, b: bigint) => (a === b ? 0 : a > b ? -1 : 1)

const PAGE = [resultColumn('Rows', INT), resultColumn('Looked', INT), resultColumn('LastID', type('varchar', 20))]

/** `sync.Requeue`: a page of the outbox back to Pending. */
export function requeue(outbox: Outbox, all: ReadonlyMap<string, Records>): Procedure {
  const { at } = outbox
  return {
    name: 'Requeue',
    parameters: [
      { name: 'Status', type: nvarchar(20) },
      { name: 'Table', type: nvarchar(100) },
      { name: 'Key', type: INT },
      { name: 'OlderThanSeconds', type: INT },
      { name: 'RunningMs', type: INT },
      { name: 'After', type: BIGINT },
      { name: 'Max', type: INT },
      { name: 'DryRun', type: BIT },
    ],
    run(work, [status, table, key, seconds, running, after, limit, dry]) {
      if (typeof status !== 'string' || !['Queued', 'Failed', 'Synced'].includes(status))
        throw malformed('sync.Requeue: @Status must be Queued, Failed or Synced')
      if (table !== null) checkedTable('sync.Requeue', all, table)
      if (key !== null && table === null) throw malformed('sync.Requeue: @Key needs @Table')
      if (typeof seconds === 'number' && seconds < 0)
        throw malformed('sync.Requeue: @OlderThanSeconds must not be negative')
      if (typeof running !== 'number' || running < 0) throw malformed('sync.Requeue: @RunningMs must not be negative')
      const max = checkedMax('sync.Requeue', limit)
      const dryRun = checkedFlag('sync.Requeue', '@DryRun', dry)

      const now = nowDatetime2(3)
      const began = now - BigInt(running) * TICKS_A_MS
      const before = typeof seconds === 'number' ? now - BigInt(seconds) * 1_000n * TICKS_A_MS : now + 1n
      const page = candidates(work, status, table ?? null, key ?? null)
        .filter((row) => after === null || outbox.id(row) > (after as bigint))
        .sort((a, b) => descending(outbox.id(b), outbox.id(a)))
        .slice(0, max)
      const fitting = page.filter(({ values }) => {
        if (values[at.Status] !== status || (table !== null && values[at.TableName] !== table)) return false
        if ((values[at.CreatedAt] as bigint) > before) return false
        const attempted = values[at.LastAttempt] as bigint | null
        if (attempted !== null && attempted > began) return false
        return key !== null || !isDiscarded(values[at.LastError])
      })
      if (!dryRun) for (const row of fitting) set(work, outbox, row, { Status: 'Pending', LastError: null })
      const last = page.at(-1)
      return [select(PAGE, [[fitting.length, page.length, last === undefined ? null : String(outbox.id(last))]])]
    },
  }

  function candidates(work: Work, status: string, table: SqlValue, key: SqlValue): Row[] {
    const rows =
      key === null
        ? [...unlocked(work, outbox)].flatMap(({ row }) => (row === null ? [] : [row]))
        : outbox.ofRecord(table, key).filter((row) => !isBlocked(work.tx, row, 'S'))
    return rows.filter((row) => key !== null || row.values[at.Status] === status)
  }
}

const VERSIONS = [
  resultColumn('Ordinal', INT),
  resultColumn('Status', nvarchar(20)),
  resultColumn('LastError', nvarchar(1000)),
  resultColumn('SupersededBy', type('varchar', 20)),
]

/** `sync.RecordVersions`: what became of the versions that events, or dead letters, name. */
export function recordVersions(outbox: Outbox, all: ReadonlyMap<string, Records>): Procedure {
  const { at } = outbox
  return {
    name: 'RecordVersions',
    parameters: [{ name: 'Records', type: nvarchar(MAX) }],
    run(_, [text]) {
      const shape = { table: isTableName, key: isInt, version: isBigint }
      const asked = checkedArray('sync.RecordVersions', '@Records', text, shape)
      const names = asked.map(({ table }) => table)
      checkedTables('sync.RecordVersions', '@Records', all, names)
      const rows = asked.map((record, index) => {
        const version = BigInt(String(record.version))
        const carrying = outbox
          .ofRecord(String(record.table), Number(record.key))
          .map(({ values }) => ({ values, carried: values[at.EventVersion] as bigint | null }))
          .sort((a, b) => descending(a.values[at.QueueID] as bigint, b.values[at.QueueID] as bigint))
        const own = carrying.find(({ carried }) => carried === version)?.values
        const later = carrying
          .flatMap(({ values, carried }) =>
            carried !== null && carried > version && values[at.Status] === 'Synced' ? [carried] : [],
          )
          .sort(descending)
        return [
          index + 1,
          own?.[at.Status] ?? null,
          own?.[at.LastError] ?? null,
          later[0] === undefined ? null : String(later[0]),
        ]
      })
      return [select(VERSIONS, rows)]
    },
  }
}
