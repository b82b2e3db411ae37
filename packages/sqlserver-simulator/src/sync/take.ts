import { CANARY } from '@clinic-sync/mapping'
import type { Procedure } from '../engine/database.ts'
import { Blocked, acquire, isBlocked } from '../engine/locks.ts'
import type { Row } from '../engine/row.ts'
import { type Result, resultColumn, type Work } from '../engine/work.ts'
import { nowDatetime2 } from '../engine/clock.ts'
import { BIGINT, BIT, INT, MAX, nvarchar, type SqlValue, type } from '../values/types.ts'
import { checkedMax } from './arguments.ts'
import { find, inScope, type Records, rowData } from './records.ts'
import { checkTakenOver } from './original.ts'
import type { Outbox } from './outbox.ts'
import { movedUpTo } from './restoring.ts'

interface Taken {
  readonly records: Records
  readonly key: number
  readonly rows: Row[]
  version: bigint
}
interface Found {
  readonly seen: bigint
  /** Null: missing or out of scope. */
  readonly data: string | null
}

const COLUMNS = [
  resultColumn('TableName', nvarchar(100)),
  resultColumn('RecordID', INT),
  resultColumn('Version', type('varchar', 20)),
  resultColumn('Seen', type('varchar', 20)),
  resultColumn('AgeMs', BIGINT),
  resultColumn('Deleted', BIT),
  resultColumn('RowData', nvarchar(MAX)),
]
const TOTALS = [
  resultColumn('Rows', INT),
  resultColumn('Locked', INT),
  resultColumn('Last', type('varchar', 20)),
  resultColumn('TakesCanary', BIT),
]

/** `sync.TakeChanges @Max, @After, @Canary`, as migrations/sqlserver/03_sync_procedures.sql has it. */
export function takeChanges(outbox: Outbox, all: ReadonlyMap<string, Records>): Procedure {
  return {
    name: 'TakeChanges',
    parameters: [
      { name: 'Max', type: INT },
      { name: 'After', type: BIGINT, default: null },
      { name: 'Canary', type: BIT, default: false },
    ],
    run(work, [max, after, canary]) {
      const checked = checkedMax('sync.TakeChanges', max)
      checkTakenOver(work, outbox, 'TakeChanges')
      return take(work, outbox, all, checked, typeof after === 'bigint' ? after : null, canary === true)
    },
  }
}

function take(
  work: Work,
  outbox: Outbox,
  all: ReadonlyMap<string, Records>,
  max: number,
  after: bigint | null,
  withCanary: boolean,
): readonly Result[] {
  const isWanted = ({ values }: Row) => withCanary || values[outbox.at.TableName] !== CANARY
  const pending = outbox.pending(after)[Symbol.iterator]()
  const moved = movedUpTo(work)
  let [rows, locked] = [0, 0]
  let last: bigint | null = null
  const events: SqlValue[][] = []
  // Once, unless everything in a full page is held by open transactions: those hold up their own rows only.
  for (;;) {
    const page = nextPage(work, pending, max, isWanted)
    last = page.length > 0 ? outbox.id(page.at(-1) as Row) : last
    const isKnown = (row: Row) => all.has(String(row.values[outbox.at.TableName]))
    for (const row of page) {
      if (isKnown(row)) continue
      set(work, outbox, row, {
        Status: 'Failed',
        LastAttempt: nowDatetime2(3),
        LastError: 'SYNC_UNKNOWN_TABLE: no table of this name is synced',
      })
      rows++
    }
    for (const taken of coalesce(outbox, all, page.filter(isKnown))) {
      taken.version = versionOf(work, outbox, taken, moved)
      for (const row of taken.rows)
        if (row.values[outbox.at.EventVersion] !== taken.version)
          set(work, outbox, row, { EventVersion: taken.version })
      const found = read(work, all, taken)
      if (found === null) {
        locked++
        continue
      }
      rows += taken.rows.length
      const propagates = taken.records.mapped.deletes.clinic === 'propagate'
      if (found.data === null && !propagates) {
        for (const row of taken.rows)
          set(work, outbox, row, { Status: 'Synced', LastAttempt: nowDatetime2(3), LastError: null })
      } else events.push(event(outbox, taken, found))
    }
    if (rows > 0 || page.length < max) break
  }
  return [
    { columns: COLUMNS, rows: events, count: events.length },
    { columns: TOTALS, rows: [[rows, locked, last?.toString() ?? null, true]], count: 1 },
  ]
}

/** The next pending rows that no transaction in flight holds. */
function nextPage(work: Work, pending: Iterator<Row>, max: number, isWanted: (row: Row) => boolean): Row[] {
  const page: Row[] = []
  while (page.length < max) {
    const next = pending.next()
    if (next.done) break
    if (isWanted(next.value) && !isBlocked(work.tx, next.value, 'U')) page.push(next.value)
  }
  return page
}

function coalesce(outbox: Outbox, all: ReadonlyMap<string, Records>, page: readonly Row[]): Taken[] {
  const found = new Map<string, Map<number, Taken>>([...all.keys()].map((table) => [table, new Map()]))
  const ordered: Taken[] = []
  for (const row of page) {
    const [table, key] = [String(row.values[outbox.at.TableName]), row.values[outbox.at.RecordID] as number]
    const ofTable = found.get(table) as Map<number, Taken>
    const known = ofTable.get(key)
    if (known !== undefined) {
      known.rows.push(row)
      continue
    }
    const taken = { records: all.get(table) as Records, key, rows: [row], version: 0n }
    ofTable.set(key, taken)
    ordered.push(taken)
  }
  return ordered
}

/**
 * The highest queue id. Where an event of the record with that version or a higher one has gone out already, these rows
 * were committed late and get a fresh number, unless all of them have been in an event before: that one then goes out once more.
 */
function versionOf(work: Work, outbox: Outbox, { records, key, rows }: Taken, moved: bigint): bigint {
  const last = outbox.id(rows.at(-1) as Row)
  let highest = -1n
  for (const row of outbox.ofRecord(records.mapped.name, key)) {
    const version = row.values[outbox.at.EventVersion] as bigint | null
    if (version !== null && version > highest) highest = version
  }
  if (last <= moved && highest <= moved) return ++work.db.queueId
  if (highest < last) return last
  return rows.every((row) => row.values[outbox.at.EventVersion] !== null) ? highest : ++work.db.queueId
}

/** The record's state; null while somebody's transaction holds it or what its scope depends on. */
function read(work: Work, all: ReadonlyMap<string, Records>, { records, key }: Taken): Found | null {
  const access = { tx: work.tx, mode: 'S', onLocked: 'wait' } as const
  try {
    const state = work.db.table('sync', 'RowState')
    const row = state.get(state.keyFor([records.mapped.name, key]))
    if (row !== undefined && isBlocked(work.tx, row, 'S')) return null
    const seen =
      row === undefined || row.deleted ? 0n : ((row.values[state.ordinal('SeenPortalVersion')] as bigint | null) ?? 0n)
    const found = find(records, key, access)
    return { seen, data: found !== null && inScope(all, records, found, access) ? rowData(records, found) : null }
  } catch (error) {
    if (error instanceof Blocked) return null
    throw error
  }
}

function event(outbox: Outbox, { records, key, rows, version }: Taken, { seen, data }: Found): SqlValue[] {
  const now = nowDatetime2(3)
  const oldest = rows.reduce<bigint>(
    (o, row) => ((row.values[outbox.at.CreatedAt] as bigint) < o ? (row.values[outbox.at.CreatedAt] as bigint) : o),
    now,
  )
  return [records.mapped.name, key, version.toString(), seen.toString(), (now - oldest) / 10_000n, data === null, data]
}

/** Writes columns of an outbox row. */
export function set(
  work: Work,
  outbox: Outbox,
  row: Row,
  changes: Partial<Record<keyof Outbox['at'], SqlValue>>,
): void {
  acquire(work.tx, row, 'X')
  const values = row.values.slice()
  for (const name in changes) {
    const column = name as keyof Outbox['at']
    values[outbox.at[column]] = changes[column] ?? null
  }
  outbox.table.update(work.tx, row, values)
}
