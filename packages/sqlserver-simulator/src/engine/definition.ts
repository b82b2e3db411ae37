import { parseType, type SqlType, type SqlValue } from '../values/types.ts'

export interface ColumnDefinition {
  readonly name: string
  readonly type: SqlType
  readonly nullable: boolean
  readonly identity: boolean
  /** What a new row gets, by the number of the session that inserts it. */
  readonly default: ((session: number) => SqlValue) | null
  /** Computed from the row's other values. */
  readonly computed: ((value: (column: string) => SqlValue) => SqlValue) | null
  /** Computed anew at every reading, since it depends on more than the row. */
  readonly volatile: boolean
}
export interface ForeignKey {
  readonly name: string
  readonly column: string
  readonly parent: string
  readonly cascade: boolean
}
export interface Check {
  readonly name: string
  readonly column: string
  readonly holds: (value: SqlValue) => boolean
}
export interface TableDefinition {
  readonly schema: string
  readonly name: string
  readonly columns: readonly ColumnDefinition[]
  readonly primaryKey: { readonly name: string; readonly columns: readonly string[] }
  readonly unique: readonly { readonly name: string; readonly columns: readonly string[] }[]
  readonly indexes: readonly (readonly string[])[]
  readonly foreignKeys: readonly ForeignKey[]
  readonly checks: readonly Check[]
}

type ColumnOptions = Partial<Omit<ColumnDefinition, 'name' | 'type'>>

export const column = (name: string, type: string, options: ColumnOptions = {}): ColumnDefinition => ({
  name,
  type: parseType(type),
  nullable: true,
  identity: false,
  default: null,
  computed: null,
  volatile: false,
  ...options,
})

/** A table whose first column is an IDENTITY and the key, unless `primaryKey` says otherwise. */
export function table(
  schema: string,
  name: string,
  columns: readonly ColumnDefinition[],
  rest: Partial<TableDefinition> = {},
): TableDefinition {
  const first = columns[0]?.name ?? ''
  return {
    schema,
    name,
    columns,
    primaryKey: { name: `PK_${name}`, columns: [first] },
    unique: [],
    indexes: [],
    foreignKeys: [],
    checks: [],
    ...rest,
  }
}
