import type { Column, ColumnType, ConflictPolicy, Table, TableName } from './types.ts'

type Flags = Partial<Pick<Column, 'notNull' | 'computed'>> & { shared?: ConflictPolicy }

function column(
  type: ColumnType,
  name: string,
  clinic: string,
  clinicType: string,
  portalType: string,
  flags: Flags = {},
): Column {
  const { notNull = false, computed = false, shared } = flags
  return {
    name,
    clinic,
    type,
    clinicType,
    portalType,
    notNull,
    computed,
    owner: shared ? 'shared' : 'clinic',
    policy: shared ?? 'clinic-wins',
  }
}

/** Shorthands for a column: portal's name, clinic's name, then what the two types need. */
export const int = (name: string, clinic: string, flags?: Flags) => column('int', name, clinic, 'int', 'integer', flags)
export const boolean = (name: string, clinic: string, flags?: Flags) =>
  column('boolean', name, clinic, 'bit', 'boolean', flags)
export const date = (name: string, clinic: string, flags?: Flags) => column('date', name, clinic, 'date', 'date', flags)
/** A Unicode text of up to `length` UTF-16 units; the portal counts characters, which are never more. */
export const text = (name: string, clinic: string, length: number | 'max', flags?: Flags) =>
  column('text', name, clinic, `nvarchar(${length})`, length === 'max' ? 'text' : `varchar(${length})`, flags)
/** A text in the clinic's code page. */
export const codePageText = (name: string, clinic: string, length: number, flags?: Flags) =>
  column('text', name, clinic, `varchar(${length})`, `varchar(${length})`, flags)
export const decimal = (name: string, clinic: string, precision: number, scale: number, flags?: Flags) =>
  column('decimal', name, clinic, `decimal(${precision},${scale})`, `numeric(${precision},${scale})`, flags)
/** `clinicType` is `datetime` (1/300 s) or `datetime2(n)`. */
export const instant = (name: string, clinic: string, clinicType: string, flags?: Flags) =>
  column('instant', name, clinic, clinicType, 'timestamptz', flags)

type Definition = Pick<Table, 'clinic' | 'key' | 'columns'> & Partial<Omit<Table, 'name'>>

/** A table with the defaults of the design: everything is the clinic's, and only the clinic's deletes propagate. */
export function table(name: TableName, definition: Definition): Table {
  return {
    name,
    clinicIsView: false,
    isOurs: false,
    parents: [],
    scope: { kind: 'all' },
    sources: [],
    deletes: { clinic: 'propagate', portal: 'restore' },
    portalInserts: false,
    uniqueInPortal: [],
    sharedWhen: null,
    ...definition,
  }
}
