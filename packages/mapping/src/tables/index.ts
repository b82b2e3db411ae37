import { CANARY, TABLE_NAMES, type Table, type TableName } from '../types.ts'
import { alignerBatches } from './aligner-batches.ts'
import { alignerDoctors } from './aligner-doctors.ts'
import { alignerNotes } from './aligner-notes.ts'
import { alignerSetPayments } from './aligner-set-payments.ts'
import { alignerSets } from './aligner-sets.ts'
import { canary } from './canary.ts'
import { patients } from './patients.ts'
import { work } from './work.ts'

const BY_NAME: Readonly<Record<TableName, Table>> = {
  [CANARY]: canary,
  aligner_doctors: alignerDoctors,
  patients,
  work,
  aligner_sets: alignerSets,
  aligner_batches: alignerBatches,
  aligner_notes: alignerNotes,
  aligner_set_payments: alignerSetPayments,
}

/** The clinic's synced tables, parents before children: what is backfilled, compared, counted and shown. */
export const tables: readonly Table[] = TABLE_NAMES.map((name) => BY_NAME[name])

/** All that is captured, taken, applied and settled: the clinic's tables, and the canary. */
export const syncedTables: readonly Table[] = [...tables, canary]

/** Whether `name` is the name of something that is synced, the canary included. */
export const isTableName = (name: string): name is TableName => Object.hasOwn(BY_NAME, name)

/** The table of that name. */
export const tableNamed = (name: TableName): Table => BY_NAME[name]

/** Key first, then the other columns: the order used in generated SQL. */
export const allColumns = (table: Table) => [table.key, ...table.columns]

/** The columns that both sides may edit. */
export const sharedColumns = (table: Table) => table.columns.filter((column) => column.owner === 'shared')

/** Whether the portal's edits of this table travel to the clinic: it captures them, and the clinic rules on them. */
export const syncsBack = (table: Table) => table.portalInserts || sharedColumns(table).length > 0

export { CANARY_KEY, TOKEN_LENGTH } from './canary.ts'
