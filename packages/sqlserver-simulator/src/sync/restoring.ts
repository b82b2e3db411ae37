import type { Procedure } from '../engine/database.ts'
import { acquire } from '../engine/locks.ts'
import { tableRelation } from '../engine/relation.ts'
import type { Row } from '../engine/row.ts'
import { type Result, resultColumn, type Work } from '../engine/work.ts'
import { deleteRows, emptyRow, insertRows } from '../engine/write.ts'
import { BIGINT, BIT, INT, MAX, nvarchar, type SqlValue, type } from '../values/types.ts'
import { checkedArray, checkedMax, checkedTables, isBigint, isInt, isTableName, optional } from './arguments.ts'
import { malformed } from './malformed.ts'
import type { Outbox } from './outbox.ts'
import type { Records } from './records.ts'
import { peekSetting, writeSetting } from './settings.ts'
import { set } from './take.ts'

/** How many ids are left out when they are moved on. */
const LEFT_OUT = 1_000_000n

const VERSION = type('varchar', 20)
const OWN = [
  resultColumn('LastID', VERSION),
  resultColumn('Seen', VERSION),
  resultColumn('Held', nvarchar(20)),
  resultColumn('LowestKey', INT),
]
const LATEST = [
  resultColumn('TableName', nvarchar(100)),
  resultColumn('RecordID', INT),
  resultColumn('Version', VERSION),
]
const APPLIED = [
  resultColumn('Ordinal', INT),
  resultColumn('Seen', VERSION),
  resultColumn('IsOpen', BIT),
  resultColumn('IsNew', BIT),
]
const select = (columns: Result['columns'], rows: Result['rows']): Result => ({ columns, rows, count: rows.length })

/** Versions that the portal has had before a restore are up to this. */
export const movedUpTo = (work: Work): bigint => {
  const value = peekSetting(work, 'RestoredUpTo')
  return value !== null && /^\d+$/.test(value) ? BigInt(value) : 0n
}

/** Whether the portal's changes are held up. */
export const isHeld = (work: Work): boolean => peekSetting(work, 'Restored') !== null

/** `sync.Bookkeeping`: what this side knows of both. */
export function bookkeeping(outbox: Outbox, all: ReadonlyMap<string, Records>): Procedure {
  const { at } = outbox
  return {
    name: 'Bookkeeping',
    parameters: [
      { name: 'Records', type: nvarchar(MAX) },
      { name: 'Max', type: INT },
    ],
    run(work, [text, limit]) {
      const asked = checkedArray('sync.Bookkeeping', '@Records', text, { table: isTableName, key: isInt })
      const names = asked.map(({ table }) => table)
      checkedTables('sync.Bookkeeping', '@Records', all, names)
      const max = checkedMax('sync.Bookkeeping', limit)
      const states = work.db.table('sync', 'RowState')
      const seenOf = (row: Row | undefined): bigint =>
        row === undefined || row.deleted
          ? 0n
          : ((row.values[states.ordinal('SeenPortalVersion')] as bigint | null) ?? 0n)
      const highest = states.scan().reduce((h, row) => (seenOf(row) > h ? seenOf(row) : h), 0n)

      const keys = states.scan().flatMap((row) => (row.deleted ? [] : [Number(row.values[states.ordinal('RecordID')])]))
      const lowest = keys.length === 0 ? null : keys.reduce((a, b) => Math.min(a, b))
      const moved = movedUpTo(work)
      const latest = new Map<string, SqlValue[]>()
      const newest = [...outbox.synced].sort((a, b) => (outbox.id(a) < outbox.id(b) ? 1 : -1)).slice(0, max)
      for (const { values } of newest) {
        const [table, key, version] = [
          values[at.TableName] ?? null,
          values[at.RecordID] ?? null,
          values[at.EventVersion],
        ]
        if (typeof version !== 'bigint' || version <= moved) continue
        if (outbox.ofRecord(table, key).some((row) => row.values[at.Status] !== 'Synced')) continue
        const before = latest.get(`${String(table)}/${String(key)}`)
        if (before === undefined || BigInt(String(before[2])) < version)
          latest.set(`${String(table)}/${String(key)}`, [table, key, version.toString()])
      }
      const operation = outbox.table.ordinal('Operation')
      const applied = asked.map(({ table, key }, i) => {
        const operations = outbox
          .ofRecord(String(table), Number(key))
          .flatMap(({ values }) => (values[at.Status] === 'Synced' ? [] : [values[operation]]))
        const seen = seenOf(states.get(states.keyFor([String(table), Number(key)])))
        return [
          i + 1,
          seen.toString(),
          operations.some((each) => each !== 'RESTORED'),
          operations.some((each) => each === 'INSERT'),
        ]
      })
      const own = [work.db.queueId.toString(), highest.toString(), peekSetting(work, 'Restored'), lowest]
      return [select(OWN, [own]), select(LATEST, [...latest.values()]), select(APPLIED, applied)]
    },
  }
}

/** `sync.HoldPortalChanges`: nothing of the portal's is applied until it is let go. */
export const holdPortalChanges: Procedure = {
  name: 'HoldPortalChanges',
  parameters: [{ name: 'Why', type: nvarchar(20) }],
  run(work, [why]) {
    if (why !== null && why !== 'restored' && why !== 'repair')
      throw malformed('sync.HoldPortalChanges: @Why must be restored, repair or NULL')
    if (why === null) removeSetting(work, 'Restored')
    else if (why === 'restored' || !isHeld(work)) writeSetting(work, 'Restored', why)
    return []
  },
}

/** `sync.ResumeAfterRestore`: queue ids above those that the portal has had; what is not settled is sent anew. */
export function resumeAfterRestore(outbox: Outbox): Procedure {
  const { at } = outbox
  return {
    name: 'ResumeAfterRestore',
    parameters: [{ name: 'Seen', type: BIGINT }],
    run(work, [seen]) {
      if (typeof seen !== 'bigint' || seen < 0n)
        throw malformed('sync.ResumeAfterRestore: @Seen is the highest queue id that the portal has had')
      const before = ++work.db.queueId
      work.db.queueId = (seen > before ? seen : before) + LEFT_OUT
      work.tx.did(() => (work.db.queueId = before))
      writeSetting(work, 'RestoredUpTo', work.db.queueId.toString())
      const open = [...tableRelation(outbox.table).scan({ tx: work.tx, mode: 'S', onLocked: 'skip' })]
        .flatMap(({ row }) => (row === null ? [] : [row]))
        .filter(({ values }) => {
          const status = values[at.Status]
          return (
            status === 'Queued' || (status === 'Failed' && String(values[at.LastError]).startsWith('SYNC_RESTORED:'))
          )
        })
      for (const row of open) set(work, outbox, row, { Status: 'Pending', LastError: null })
      return [select([resultColumn('Rows', INT)], [[open.length]])]
    },
  }
}

/** `sync.QueueRecords`: records that the other side lacks, or has otherwise. */
export function queueRecords(outbox: Outbox, all: ReadonlyMap<string, Records>): Procedure {
  return {
    name: 'QueueRecords',
    parameters: [{ name: 'Records', type: nvarchar(MAX) }],
    run(work, [text]) {
      const shape = { table: isTableName, key: isInt, seen: optional(isBigint) }
      const records = checkedArray('sync.QueueRecords', '@Records', text, shape)
      checkedTables(
        'sync.QueueRecords',
        '@Records',
        all,
        records.map(({ table }) => table),
      )
      for (const { table, key, seen } of records)
        if (seen !== undefined) fence(work, String(table), Number(key), BigInt(String(seen)))
      for (const { table, key } of records) {
        const values = emptyRow(work, outbox.table)
        values[at('TableName')] = String(table)
        values[at('RecordID')] = Number(key)
        values[at('Operation')] = 'RESTORED'
        insertRows(work, outbox.table, [values])
      }
      return []
    },
  }

  function at(name: string): number {
    return outbox.table.ordinal(name)
  }
}

function fence(work: Work, table: string, key: number, seen: bigint): void {
  const states = work.db.table('sync', 'RowState')
  const row = states.get(states.keyFor([table, key]))
  if (row === undefined || row.deleted) {
    insertRows(work, states, [[table, key, seen, null]])
    return
  }
  if ((row.values[states.ordinal('SeenPortalVersion')] as bigint) >= seen) return
  acquire(work.tx, row, 'X')
  states.update(work.tx, row, [table, key, seen, null])
}

function removeSetting(work: Work, name: string): void {
  const settings = work.db.table('sync', 'Settings')
  const row = settings.get(settings.keyFor([name]))
  if (row === undefined || row.deleted) return
  acquire(work.tx, row, 'X')
  deleteRows(work, settings, [row])
}
