import { SqlError } from '../values/errors.ts'
import type { ColumnDefinition } from '../engine/definition.ts'
import type { Found } from '../engine/relation.ts'
import type { SqlType, SqlValue } from '../values/types.ts'

/** The rows that an expression is evaluated for: one of each table of its query; null beyond a LEFT JOIN. */
export interface Env {
  rows: (Found | null)[]
  readonly parent: Env | null
  aggregates: readonly SqlValue[]
}
/** Where nothing is selected from. */
export const EMPTY: Env = { rows: [], parent: null, aggregates: [] }
export interface Source {
  readonly alias: string
  readonly columns: readonly ColumnDefinition[]
}

/** A compiled value. */
export interface Compiled {
  readonly type: SqlType
  readonly run: (env: Env) => SqlValue
  readonly column: {
    readonly slot: number
    readonly ordinal: number
    readonly depth: number
    readonly definition: ColumnDefinition
  } | null
}
export interface Aggregate {
  readonly name: string
  readonly argument: Compiled | null
  readonly distinct: boolean
  readonly type: SqlType
}

/** The names that a query sees: its own tables, then those of the queries around it. */
export class Scope {
  readonly sources: Source[] = []
  readonly parent: Scope | null
  /** The slots that the expressions compiled since it was last set anew refer to. */
  used = new Set<number>()
  /** Whether anything refers to a query around this one. */
  correlated = false
  /** Set while aggregates are allowed. */
  aggregates: Aggregate[] | null = null
  /** Columns that may stand outside aggregates, as slot * 1000 + ordinal; null: all. */
  grouped: ReadonlySet<number> | null = null

  constructor(parent: Scope | null) {
    this.parent = parent
  }

  /** @throws SqlError 207, 209, 4104, 8120 */
  resolve(qualifier: string, name: string): Compiled {
    const found = this.#resolve(qualifier, name, 0)
    if (found !== null) return found
    if (qualifier !== '')
      throw new SqlError(4104, `The multi-part identifier "${qualifier}.${name}" could not be bound.`, {
        abort: 'batch',
      })
    throw new SqlError(207, `Invalid column name '${name}'.`, { abort: 'batch' })
  }

  #resolve(qualifier: string, name: string, depth: number): Compiled | null {
    const found = this.#find(qualifier, name)
    if (found === null) {
      const outer = this.parent === null ? null : this.parent.#resolve(qualifier, name, depth + 1)
      if (outer !== null) this.correlated = true
      return outer
    }
    this.used.add(found.slot)
    if (depth === 0 && this.grouped !== null && !this.grouped.has(found.slot * 1000 + found.ordinal))
      throw new SqlError(
        8120,
        `Column '${qualifier ? `${qualifier}.` : ''}${name}' is invalid in the select list because it is not contained in either an aggregate function or the GROUP BY clause.`,
        { abort: 'batch' },
      )
    return column(found.slot, found.ordinal, depth, found.definition)
  }

  #find(qualifier: string, name: string) {
    const [wanted, from] = [name.toLowerCase(), qualifier.toLowerCase()]
    let found: { slot: number; ordinal: number; definition: ColumnDefinition } | null = null
    for (const [slot, source] of this.sources.entries()) {
      if (from !== '' && source.alias.toLowerCase() !== from) continue
      for (const [ordinal, definition] of source.columns.entries()) {
        if (definition.name.toLowerCase() !== wanted) continue
        if (found !== null) throw new SqlError(209, `Ambiguous column name '${name}'.`, { abort: 'batch' })
        found = { slot, ordinal, definition }
      }
    }
    return found
  }
}

function column(slot: number, ordinal: number, depth: number, definition: ColumnDefinition): Compiled {
  const at = { slot, ordinal, depth, definition }
  return {
    type: definition.type,
    column: at,
    run(env) {
      let from: Env = env
      for (let i = 0; i < depth; i++) from = from.parent as Env
      const found = from.rows[slot]
      if (!found) return null
      return found.values[ordinal] ?? null
    },
  }
}
