import type { Row, Value } from '@clinic-sync/contracts'
import { sharedColumns, type TableName, tableNamed } from '@clinic-sync/mapping'

const NOTE: Row = {
  aligner_set_id: 1,
  note_type: 'Doctor',
  note_text: 'please check tooth 16',
  created_at: '2026-01-10T08:00:00.000Z',
  is_edited: false,
  edited_at: null,
  is_read: false,
}

const BATCH: Row = {
  aligner_set_id: 1,
  batch_sequence: 1,
  upper_aligner_count: 0,
  lower_aligner_count: 0,
  upper_aligner_start_sequence: null,
  lower_aligner_start_sequence: null,
  manufacture_date: '2026-01-05',
  delivered_to_patient_date: null,
  days: 10,
  notes: null,
  is_active: true,
}

const integer = (value: Value | undefined) => (typeof value === 'number' ? value : null)

function lastOf(row: Row, jaw: 'upper' | 'lower'): number | null {
  const [start, count] = [integer(row[`${jaw}_aligner_start_sequence`]), integer(row[`${jaw}_aligner_count`])]
  return start === null || count === null || count <= 0 ? null : start + count - 1
}

/** What the clinic computes for a batch without templates; with no aligners the validity is 0 whatever the days. */
function computed(row: Row): Row {
  const [days, upper, lower] = [row.days, row.upper_aligner_count, row.lower_aligner_count].map(integer)
  const validity = days == null || upper == null || lower == null ? null : Math.max(0, upper, lower) * days
  const delivered = row.delivered_to_patient_date
  const expiry =
    validity === null || typeof delivered !== 'string'
      ? null
      : new Date(Date.parse(delivered) + validity * 86_400_000).toISOString().slice(0, 10)
  return {
    upper_aligner_end_sequence: lastOf(row, 'upper'),
    lower_aligner_end_sequence: lastOf(row, 'lower'),
    validity_period: validity,
    batch_expiry_date: expiry,
  }
}

/**
 * A whole row from the columns that a case names. Aligner set 1 is one that both databases have, 999 one that none has.
 * Computed columns that are not named are what the clinic would compute for this row.
 */
export function completeRow(table: TableName, key: number, named: Row): Row {
  const row = { [tableNamed(table).key.name]: key, ...(table === 'aligner_batches' ? BATCH : NOTE), ...named }
  return table === 'aligner_batches' ? { ...row, ...computed(row), ...named } : row
}

/** All shared columns from those that a case names. */
export function completeShared(table: TableName, named: Row): Row {
  const whole = completeRow(table, 0, named)
  return Object.fromEntries(sharedColumns(tableNamed(table)).map(({ name }) => [name, whole[name] ?? null]))
}
