import type { Key, Row, Value } from '@clinic-sync/contracts'
import { allColumns, type Column, isTableName, sharedColumns, type TableName, tableNamed } from '@clinic-sync/mapping'
import {
  type Hold,
  type LoggedRuling,
  type OutboxEntry,
  type OutboxRowStatus,
  type Presence,
  type Recorded,
  type RecordHistory,
  rulingBefore,
  rulingId,
  rulingNumber,
} from '@clinic-sync/sync'
import sql from './driver.ts'
import type { Pool } from './pool.ts'
import { otherVersion } from './taken.ts'
import type { Zone } from './zone.ts'

type Cells = Readonly<Record<string, unknown>>

/** What the clinic tells of one record, and of what it has ruled. */
export const recorded = (pool: Pool, zone: Zone): Recorded => ({
  async recordHistory(table, key, max) {
    const [[own] = [], outbox = [], rulings = []] = await pool.execute('sync.RecordHistory', {
      Table: [sql.NVarChar(100), table],
      Key: [sql.Int, key],
      Max: [sql.Int, max],
    })
    if (own === undefined) throw otherVersion('sync.RecordHistory')
    return historyOf(table, own, outbox, rulings, zone)
  },

  async rulings(before, max) {
    const [rows = []] = await pool.execute('sync.Rulings', {
      Before: [sql.BigInt, rulingBefore('clinic', before)],
      Max: [sql.Int, max],
    })
    return rows.map(toRuling)
  },

  async ruledValues(id) {
    const number = rulingNumber('clinic', id)
    if (number === null) return null
    const [[row] = []] = await pool.execute('sync.RuledValues', { ID: [sql.BigInt, number] })
    return row === undefined ? null : { id, values: valuesOf(row, zone) }
  },
})

function historyOf(
  table: TableName,
  own: Cells,
  outbox: readonly Cells[],
  rulings: readonly Cells[],
  zone: Zone,
): RecordHistory {
  const entries = outbox.map((row) => toEntry(row, own.UtcNow as Date))
  return {
    presence: own.Presence as Presence | null,
    latest: entries.find(({ uncommitted }) => !uncommitted)?.queueId ?? '0',
    applied: String(own.Seen),
    hold: own.Hold as Hold | null,
    outbox: entries,
    outboxRows: Number(own.OutboxRows),
    editing: null,
    reported: rowOf(own.PortalValues, sharedColumns(tableNamed(table)), zone),
    rulings: rulings.map(toRuling),
  }
}

/** The clinic's clock is on its wall: only ages can be told in UTC. */
const ago = (now: Date, ms: unknown): string => new Date(now.getTime() - Number(ms)).toISOString()

const toEntry = (row: Cells, now: Date): OutboxEntry => ({
  queueId: String(row.QueueID),
  operation: String(row.Operation),
  status: row.Status as OutboxRowStatus,
  capturedAt: ago(now, row.CapturedMs),
  attempts: Number(row.Attempts),
  lastAttempt: row.AttemptMs === null ? null : ago(now, row.AttemptMs),
  // A row that never was in an event of ours has failed in the original system, whose words may hold values.
  reason: row.EventVersion === null ? null : (row.LastError as string | null),
  uncommitted: Boolean(row.IsUncommitted),
})

const toRuling = (row: Cells): LoggedRuling => ({
  id: rulingId('clinic', String(row.ConflictID)),
  table: String(row.TableName),
  key: row.RecordID as Key,
  columns: row.ColumnName === null ? null : [String(row.ColumnName)],
  ruling: String(row.Ruling),
  version: String(row.PortalVersion),
  at: ago(row.UtcNow as Date, row.RuledMs),
})

function valuesOf({ TableName, ColumnName, ClinicValue, PortalValue, BaseValue }: Cells, zone: Zone) {
  const table = String(TableName)
  const columns = isTableName(table) ? allColumns(tableNamed(table)) : []
  if (ColumnName === null) {
    const [clinic, portal] = [rowOf(ClinicValue, columns, zone), rowOf(PortalValue, columns, zone)]
    return columns.map(({ name }) => ({
      column: name,
      clinic: clinic?.[name] ?? null,
      portal: portal?.[name] ?? null,
      base: null,
    }))
  }
  const column = columns.find(({ name }) => name === ColumnName)
  const value = (logged: unknown) => valueOf(column, logged, zone)
  return [
    { column: String(ColumnName), clinic: value(ClinicValue), portal: value(PortalValue), base: value(BaseValue) },
  ]
}

/** A row, or a part of one, that is kept as JSON; null: there is none. */
function rowOf(json: unknown, columns: readonly Column[], zone: Zone): Row | null {
  if (typeof json !== 'string') return null
  const parsed = JSON.parse(json) as Cells | null
  if (parsed === null) return null
  return Object.fromEntries(columns.map((column) => [column.name, valueOf(column, parsed[column.name], zone)]))
}

/** A kept value as it travels. It may be from before a column had its type: then it stays a text. */
function valueOf(column: Column | undefined, kept: unknown, zone: Zone): Value {
  if (kept === null || kept === undefined) return null
  if (typeof kept === 'number' || typeof kept === 'boolean') return kept
  const text = String(kept)
  switch (column?.type) {
    case 'int':
      return /^-?\d{1,10}$/.test(text) ? Number(text) : text
    case 'boolean':
      return text === 'true' || text === 'false' ? text === 'true' : text
    case 'instant':
      try {
        return zone.toInstant(text)
      } catch {
        return text
      }
    default:
      return text
  }
}
