import type { Procedure } from '../engine/database.ts'
import { nowDatetime2, UTC_OFFSET_MINUTES } from '../engine/clock.ts'
import { Blocked, isBlocked } from '../engine/locks.ts'
import { type Access, tableRelation } from '../engine/relation.ts'
import type { Row } from '../engine/row.ts'
import { type Result, resultColumn, type Work } from '../engine/work.ts'
import { BIGINT, BIT, datetime2, INT, MAX, nvarchar, type SqlValue, type } from '../values/types.ts'
import { checkedMax, checkedTable } from './arguments.ts'
import { malformed } from './malformed.ts'
import type { Outbox } from './outbox.ts'
import { find, inScope, type Records } from './records.ts'
import { peekSetting } from './settings.ts'

/** datetime2's unit is 100 ns. */
const TICKS_A_MS = 10_000n
const VERSION = type('varchar', 20)
const OWN = [
  resultColumn('UtcNow', datetime2(7)),
  resultColumn('Presence', nvarchar(20)),
  resultColumn('Seen', VERSION),
  resultColumn('PortalValues', nvarchar(MAX)),
  resultColumn('Hold', nvarchar(400)),
  resultColumn('OutboxRows', INT),
]
const ENTRIES = [
  resultColumn('QueueID', VERSION),
  resultColumn('Operation', nvarchar(20)),
  resultColumn('Status', nvarchar(20)),
  resultColumn('Attempts', INT),
  resultColumn('LastError', nvarchar(1000)),
  resultColumn('EventVersion', VERSION),
  resultColumn('CapturedMs', BIGINT),
  resultColumn('AttemptMs', BIGINT),
  resultColumn('IsUncommitted', BIT),
]
const RULINGS = [
  resultColumn('ConflictID', VERSION),
  resultColumn('TableName', nvarchar(100)),
  resultColumn('RecordID', INT),
  resultColumn('ColumnName', nvarchar(128)),
  resultColumn('Ruling', nvarchar(20)),
  resultColumn('PortalVersion', VERSION),
  resultColumn('RuledMs', BIGINT),
  resultColumn('UtcNow', datetime2(7)),
]
const VALUES = [
  resultColumn('TableName', nvarchar(100)),
  resultColumn('ColumnName', nvarchar(128)),
  resultColumn('ClinicValue', nvarchar(MAX)),
  resultColumn('PortalValue', nvarchar(MAX)),
  resultColumn('BaseValue', nvarchar(MAX)),
]

const select = (columns: Result['columns'], rows: Result['rows']): Result => ({ columns, rows, count: rows.length })
const descending = (a: bigint, b: bigint) => (a === b ? 0 : a > b ? -1 : 1)
const utcNow = () => nowDatetime2(7) - BigInt(UTC_OFFSET_MINUTES) * 60_000n * TICKS_A_MS
const age = (at: SqlValue | undefined) =>
  at === null || at === undefined ? null : (nowDatetime2(3) - (at as bigint)) / TICKS_A_MS
const text = (value: SqlValue | undefined) => (value === null || value === undefined ? null : String(value))

/** `sync.RecordHistory`: one record's story, whatever locks there are. */
export function recordHistory(outbox: Outbox, all: ReadonlyMap<string, Records>): Procedure {
  return {
    name: 'RecordHistory',
    parameters: [
      { name: 'Table', type: nvarchar(100) },
      { name: 'Key', type: INT },
      { name: 'Max', type: INT },
    ],
    run(work, [name, key, limit]) {
      const records = checkedTable('sync.RecordHistory', all, name)
      if (typeof key !== 'number') throw malformed('sync.RecordHistory: @Key must not be NULL')
      const max = checkedMax('sync.RecordHistory', limit)
      const table = records.mapped.name
      const states = work.db.table('sync', 'RowState')
      const state = states.get(states.keyFor([table, key]))
      const known = (column: string) =>
        state === undefined || state.deleted ? null : (state.values[states.ordinal(column)] ?? null)
      const rows = [...outbox.ofRecord(table, key)].sort((a, b) => descending(outbox.id(a), outbox.id(b)))
      const own = [
        utcNow(),
        presenceOf(work, all, records, key),
        text(known('SeenPortalVersion')) ?? '0',
        known('PortalValues'),
        peekSetting(work, 'Restored'),
        rows.length,
      ]
      const entries = rows.slice(0, max).map((row) => entry(work, outbox, row))
      const rulings = logged(work).filter(({ values: [, of, id] }) => of === table && id === key)
      return [select(OWN, [own]), select(ENTRIES, entries), select(RULINGS, rulings.slice(0, max).map(ruling))]
    },
  }
}

function entry(work: Work, { at, table }: Outbox, row: Row): readonly SqlValue[] {
  const value = (column: keyof Outbox['at']) => row.values[at[column]] ?? null
  const isPending = value('Status') === 'Pending' && value('EventVersion') === null
  return [
    text(value('QueueID')),
    row.values[table.ordinal('Operation')] ?? null,
    value('Status'),
    value('Attempts'),
    value('LastError'),
    text(value('EventVersion')),
    age(value('CreatedAt')),
    age(value('LastAttempt')),
    isPending && isBlocked(work.tx, row, 'S'),
  ]
}

/** Null: somebody's open transaction holds what must be read for it. */
function presenceOf({ tx }: Work, all: ReadonlyMap<string, Records>, records: Records, key: SqlValue): string | null {
  const access: Access = { tx, mode: 'S', onLocked: 'wait' }
  try {
    const found = find(records, key, access)
    if (found === null) return 'absent'
    return inScope(all, records, found, access) ? 'synced' : 'unsynced'
  } catch (error) {
    if (error instanceof Blocked) return null
    throw error
  }
}

/** Conflicts that no transaction in flight is logging, the latest first: their values in the order of the table's columns. */
function logged({ db, tx }: Work) {
  const access: Access = { tx, mode: 'S', onLocked: 'skip' }
  return [...tableRelation(db.table('sync', 'Conflicts')).scan(access)].sort((a, b) =>
    descending(a.values[0] as bigint, b.values[0] as bigint),
  )
}

const ruling = ({ values }: { readonly values: readonly SqlValue[] }): readonly SqlValue[] => {
  const [id, table, key, column, , , , why, version, at] = values
  return [text(id), table ?? null, key ?? null, column ?? null, why ?? null, text(version), age(at), utcNow()]
}

/** `sync.Rulings`: the log of conflicts, in pages. */
export const rulings: Procedure = {
  name: 'Rulings',
  parameters: [
    { name: 'Before', type: BIGINT },
    { name: 'Max', type: INT },
  ],
  run(work, [before, limit]) {
    const max = checkedMax('sync.Rulings', limit)
    const older = logged(work).filter(({ values }) => before === null || (values[0] as bigint) < (before as bigint))
    return [select(RULINGS, older.slice(0, max).map(ruling))]
  },
}

/** `sync.RuledValues`: what one conflict was about. */
export const ruledValues: Procedure = {
  name: 'RuledValues',
  parameters: [{ name: 'ID', type: BIGINT }],
  run(work, [id]) {
    const found = logged(work).filter(({ values }) => values[0] === id)
    const rows = found.map(({ values: [, table, , column, clinic, portal, base] }) =>
      [table, column, clinic, portal, base].map((value) => value ?? null),
    )
    return [select(VALUES, rows)]
  },
}
