import type { Value } from '@clinic-sync/contracts'
import type { Random } from '@clinic-sync/demo'
import { type Column, type TableName, tableNamed } from '@clinic-sync/mapping'
import { stream } from './streams.ts'
import type { Subject } from './subjects.ts'

/** What staff edit, by the portal's names: all but keys, references, and what must be unique. */
const STAFF_COLUMNS: Partial<Record<TableName, readonly string[]>> = {
  aligner_doctors: ['doctor_name', 'logo_path'],
  patients: ['patient_name', 'first_name', 'phone'],
  work: ['addition_date'],
  aligner_sets: ['type', 'notes', 'days', 'is_active', 'set_cost', 'pdf_uploaded_at'],
  aligner_batches: ['days', 'notes', 'is_active', 'delivered_to_patient_date', 'upper_aligner_count'],
  aligner_notes: ['note_text', 'created_at', 'is_edited', 'edited_at', 'is_read'],
}

export const columnsOf = (table: TableName): Column[] =>
  (STAFF_COLUMNS[table] ?? []).map((name) => columnNamed(table, name))

export function columnNamed(table: TableName, name: string): Column {
  const column = tableNamed(table).columns.find((candidate) => candidate.name === name)
  if (column === undefined) throw new RangeError(`${table} has no column ${name}.`)
  return column
}

/** A few values that both sides pick now and then, so that they come to the same by chance. */
const COMMON_TEXTS = ['', ' ', 'Delivered.', 'تم التسليم', 'delivered. ', '🦷'] as const
const COMMON_DAYS = [7, 10, 14, null] as const

const fill = (piece: string, units: number) => piece.repeat(Math.ceil(units / piece.length)).slice(0, units)

/** The ways in which a text breaks a careless sync. `tag` makes it one of a kind. */
const TEXTS: readonly ((tag: string) => string)[] = [
  (tag) => `Please check ${tag}`,
  (tag) => `${tag} المريض مرتاح والنتيجة ممتازة 👍🏽`,
  (tag) => `${tag} trailing blanks  `,
  (tag) => `"${tag}" it's {0} %s \\N $1; --\r\n\tline two`,
  (tag) => `${tag} 👨‍👩‍👧‍👦 e\u0301 \uFB01 \u2028 \u200Fيمين\u202Cthen left`,
  (tag) => `${tag} ${fill('ملاحظة طويلة جداً. ', 4_500)}`,
  (tag) => `${tag} ${fill('🦷 long ', 12_000)}`,
]

/**
 * A value for a column, one of a kind where its type has room for that.
 *
 * @param tag says who writes it, and which of theirs it is
 */
export function valueFor(random: Random, column: Column, tag: string): Value {
  if (!column.notNull && random.chance(0.06)) return null
  switch (column.type) {
    case 'boolean':
      return random.chance(0.5)
    case 'int':
      if (column.name !== 'days') return random.int(0, 9)
      return random.chance(0.25) ? random.pick(COMMON_DAYS) : random.int(1, 2_000)
    case 'date':
      return `20${random.int(20, 39)}-0${random.int(1, 9)}-${random.int(10, 28)}`
    case 'instant':
      return instant(random, column)
    case 'decimal':
      return `${random.int(1, 99_999)}.${random.int(10, 99)}`
    case 'text':
      return text(random, column, tag)
    case 'bigint':
      return String(random.int(0, 1_000_000))
  }
}

/** `datetime2(0)` keeps seconds; `datetime` thirds of ten milliseconds, which the comparison knows. */
function instant(random: Random, { clinicType }: Column): string {
  const minutes = random.int(0, 500_000) * 60_000
  const rest = clinicType === 'datetime2(0)' ? random.int(0, 59) * 1_000 : random.int(0, 59_999)
  return new Date(Date.UTC(2024, 0, 1) + minutes + rest).toISOString()
}

function text(random: Random, column: Column, tag: string): string {
  const unlimited = column.clinicType.includes('max')
  if (random.chance(0.12)) return random.pick(COMMON_TEXTS)
  const long = random.pick(TEXTS)(tag)
  if (unlimited) return long
  const limit = Number(/\((\d+)\)/.exec(column.clinicType)?.[1])
  // Never half of a surrogate pair: no database would take it.
  return long.slice(0, limit).replace(/[\uD800-\uDBFF]$/, '')
}

/**
 * A new record's columns, references left out. A number within its parent is unique whoever makes the record, and the same
 * when it comes back.
 */
export function firstRow(
  seed: number,
  { name, table, noteType }: Subject,
  random: Random,
  value: (column: Column) => Value,
): Record<string, Value> {
  const row: Record<string, Value> = {}
  for (const column of columnsOf(table)) row[column.name] = value(column)
  const sequence = stream(seed, 'sequence', name).int(1, 2_000_000_000)
  if (table === 'work') return { ...row, type_of_work: 19 }
  if (table === 'aligner_sets') return { ...row, set_sequence: sequence, currency: 'USD' }
  if (table === 'aligner_batches') return { ...row, batch_sequence: sequence, lower_aligner_count: random.int(0, 9) }
  return table === 'aligner_notes' ? { ...row, note_type: noteType } : row
}

const TICKS_PER_MS = 0.3

/**
 * A value as the two databases agree on it: a text without U+0000, which Postgres cannot store; an instant in ticks of
 * `datetime`, 1/300 s.
 */
export function agreed(column: Column, value: Value): Value {
  if (typeof value !== 'string') return value
  if (column.type === 'text') return value.replaceAll('\u0000', '')
  return column.type === 'instant' ? `tick ${Math.round(Date.parse(value) * TICKS_PER_MS)}` : value
}
