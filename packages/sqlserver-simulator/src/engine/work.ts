import type { SqlType, SqlValue } from '../values/types.ts'
import type { Database } from './database.ts'
import type { Table } from './table.ts'
import type { Transaction } from './transaction.ts'
import type { Session } from './session.ts'

export interface ResultColumn {
  readonly name: string
  readonly type: SqlType
  readonly nullable: boolean
  readonly identity: boolean
  readonly computed: boolean
}
/** What a statement gives: rows (no columns: none) and a count (null: no count, as after DECLARE). */
export interface Result {
  readonly columns: readonly ResultColumn[] | null
  readonly rows: readonly (readonly SqlValue[])[]
  readonly count: number | null
  /** What PRINT says. */
  readonly message?: string
}

/** One statement's run: what it may use. Thrown away and made anew when the statement had to wait for a lock. */
export interface Work {
  readonly db: Database
  readonly tx: Transaction
  readonly session: Session
  /** Identity values before the statement took some, to be given back if it has to run again. */
  readonly identities: Map<Table, number>
  /** Calls to the outside that the statement has made: it ends when they have. They must not reject. */
  readonly calls: (() => Promise<void>)[]
}

export const resultColumn = (name: string, type: SqlType): ResultColumn => ({
  name,
  type,
  nullable: true,
  identity: false,
  computed: false,
})
export const NO_RESULT: Result = { columns: null, rows: [], count: null }
