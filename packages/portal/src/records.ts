import type { Value } from '@clinic-sync/contracts'
import { allColumns, isTableName, tableNamed } from '@clinic-sync/mapping'
import {
  DatabaseError,
  type LoggedRuling,
  type OutboxEntry,
  type Recorded,
  type RecordHistory,
  rulingBefore,
  rulingId,
  rulingNumber,
} from '@clinic-sync/sync'
import type { Database } from './pool.ts'

/** As `sync.record_history` prints it. */
interface History extends Omit<RecordHistory, 'presence' | 'reported' | 'rulings' | 'outbox'> {
  readonly there: boolean
  readonly outbox: readonly Omit<OutboxEntry, 'uncommitted'>[]
  readonly rulings: readonly Ruling[]
}
interface Ruling extends Omit<LoggedRuling, 'id'> {
  readonly number: string
}
/** As `sync.ruled_values` prints it: texts, by column. */
interface Values {
  readonly table: string
  readonly values: Readonly<Record<string, Readonly<Record<'clinic' | 'portal' | 'base', string | null>>>>
}

/** What the portal tells of one record, and of what could not stand. */
export const recorded = (database: Database): Recorded => ({
  async recordHistory(table, key, max) {
    const [row] = await database.query('SELECT sync.record_history($1, $2, $3) AS found', [table, key, max])
    const { there, outbox, rulings, ...history } = parsed<History>(row?.found)
    return {
      ...history,
      presence: there ? 'synced' : 'absent',
      outbox: outbox.map((entry) => ({ ...entry, uncommitted: false })),
      reported: null,
      rulings: rulings.map(toRuling),
    }
  },

  async rulings(before, max) {
    const [row] = await database.query('SELECT sync.rulings($1, $2) AS found', [rulingBefore('portal', before), max])
    return parsed<Ruling[]>(row?.found).map(toRuling)
  },

  async ruledValues(id) {
    const number = rulingNumber('portal', id)
    if (number === null) return null
    const [row] = await database.query('SELECT sync.ruled_values($1) AS found', [number])
    return row?.found === null ? null : { id, values: valuesOf(parsed<Values>(row?.found)) }
  },
})

const toRuling = ({ number, ...ruling }: Ruling): LoggedRuling => ({ id: rulingId('portal', number), ...ruling })

/** Of the synced columns, in the table's order. */
function valuesOf({ table, values }: Values) {
  const columns = isTableName(table) ? allColumns(tableNamed(table)) : []
  return columns.flatMap(({ name, type }) => {
    const found = values[name]
    if (found === undefined) return []
    const typed = (value: string | null): Value => {
      if (value === null) return null
      if (type === 'int') return Number(value)
      return type === 'boolean' ? value === 'true' : value
    }
    return { column: name, clinic: typed(found.clinic), portal: typed(found.portal), base: typed(found.base) }
  })
}

function parsed<T>(json: string | null | undefined): T {
  if (typeof json === 'string') return JSON.parse(json) as T
  throw new DatabaseError('down', 'a function of the portal’s schema sync gave no answer', {
    code: 'SYNC_NOT_MIGRATED',
  })
}
