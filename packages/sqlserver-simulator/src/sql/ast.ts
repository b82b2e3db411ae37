import type { SqlType, SqlValue } from '../values/types.ts'

/** A name of up to three parts; `schema` is empty if it was not given. */
export interface ObjectName {
  readonly schema: string
  readonly name: string
}

export type Expression =
  | { readonly node: 'literal'; readonly value: SqlValue; readonly type: SqlType }
  | { readonly node: 'column'; readonly qualifier: string; readonly name: string }
  | { readonly node: 'variable'; readonly name: string }
  | { readonly node: 'negate'; readonly operand: Expression }
  | {
      readonly node: 'binary'
      readonly operator: '+' | '-' | '*' | '/' | '%'
      readonly left: Expression
      readonly right: Expression
    }
  | {
      readonly node: 'call'
      readonly name: string
      readonly args: readonly Expression[]
      readonly star: boolean
      readonly distinct: boolean
    }
  | { readonly node: 'datepart'; readonly name: string; readonly part: string; readonly args: readonly Expression[] }
  | {
      readonly node: 'cast'
      readonly operand: Expression
      readonly type: SqlType
      readonly style: Expression | null
      readonly lenient: boolean
    }
  | {
      readonly node: 'case'
      readonly branches: readonly { when: Condition; result: Expression }[]
      readonly otherwise: Expression | null
    }
  | { readonly node: 'iif'; readonly when: Condition; readonly result: Expression; readonly otherwise: Expression }
  | { readonly node: 'subquery'; readonly select: Select }

export type Comparison = '=' | '<>' | '<' | '<=' | '>' | '>='

/** What may be true, false or unknown; T-SQL has no boolean values. */
export type Condition =
  | { readonly node: 'compare'; readonly operator: Comparison; readonly left: Expression; readonly right: Expression }
  | { readonly node: 'and' | 'or'; readonly left: Condition; readonly right: Condition }
  | { readonly node: 'not'; readonly operand: Condition }
  | { readonly node: 'null'; readonly operand: Expression; readonly negated: boolean }
  | {
      readonly node: 'in'
      readonly operand: Expression
      readonly list: readonly Expression[]
      readonly negated: boolean
    }
  | { readonly node: 'inSelect'; readonly operand: Expression; readonly select: Select; readonly negated: boolean }
  | {
      readonly node: 'like'
      readonly operand: Expression
      readonly pattern: Expression
      readonly escape: Expression | null
      readonly negated: boolean
    }
  | { readonly node: 'exists'; readonly select: Select }

export type Hint =
  | 'nolock'
  | 'readpast'
  | 'updlock'
  | 'xlock'
  | 'holdlock'
  | 'rowlock'
  | 'readcommitted'
  | 'nowait'
  | 'tablock'
  | 'paglock'

export interface TableRef {
  readonly name: ObjectName
  readonly alias: string
  readonly hints: readonly Hint[]
}
export interface Join {
  readonly kind: 'inner' | 'left' | 'cross'
  readonly table: TableRef
  readonly on: Condition | null
}
export interface SelectItem {
  /** A `*` (`qualifier` may be empty), or an expression. */
  readonly star: string | null
  readonly expression: Expression | null
  readonly alias: string | null
  /** `SELECT @variable = …` */
  readonly assign: string | null
}
export interface OrderItem {
  readonly expression: Expression
  readonly descending: boolean
}
export interface Select {
  readonly kind: 'select'
  readonly distinct: boolean
  readonly top: Expression | null
  readonly items: readonly SelectItem[]
  readonly from: TableRef | null
  readonly joins: readonly Join[]
  readonly where: Condition | null
  readonly groupBy: readonly Expression[]
  readonly having: Condition | null
  readonly orderBy: readonly OrderItem[]
  readonly offset: Expression | null
  readonly fetch: Expression | null
}
export interface Insert {
  readonly kind: 'insert'
  readonly table: ObjectName
  readonly columns: readonly string[] | null
  readonly output: readonly SelectItem[] | null
  /** A null expression stands for DEFAULT; a null list for DEFAULT VALUES. */
  readonly values: readonly (readonly (Expression | null)[])[] | null
  readonly select: Select | null
}
export interface Update {
  readonly kind: 'update'
  readonly table: ObjectName
  readonly hints: readonly Hint[]
  readonly top: Expression | null
  readonly set: readonly { readonly column: string; readonly value: Expression | null }[]
  readonly output: readonly SelectItem[] | null
  readonly where: Condition | null
}
export interface Delete {
  readonly kind: 'delete'
  readonly table: ObjectName
  readonly hints: readonly Hint[]
  readonly top: Expression | null
  readonly output: readonly SelectItem[] | null
  readonly where: Condition | null
}
export interface Argument {
  readonly name: string
  readonly value: Expression | null
  readonly output: boolean
}
export type Statement = { readonly line: number } & (
  | Select
  | Insert
  | Update
  | Delete
  | { readonly kind: 'declare'; readonly name: string; readonly type: SqlType; readonly value: Expression | null }
  | { readonly kind: 'setVariable'; readonly name: string; readonly value: Expression }
  | { readonly kind: 'setOption'; readonly option: string; readonly value: string }
  | { readonly kind: 'identityInsert'; readonly table: ObjectName; readonly on: boolean }
  | { readonly kind: 'begin' }
  | { readonly kind: 'commit' }
  | { readonly kind: 'rollback'; readonly savepoint: string | null }
  | { readonly kind: 'save'; readonly name: string }
  | {
      readonly kind: 'exec'
      readonly procedure: ObjectName
      readonly args: readonly Argument[]
      readonly result: string | null
    }
  | { readonly kind: 'trigger'; readonly enable: boolean; readonly trigger: string | null; readonly table: ObjectName }
  | {
      readonly kind: 'if'
      readonly when: Condition
      readonly statements: readonly Statement[]
      readonly otherwise: readonly Statement[]
    }
  | {
      readonly kind: 'addCheck'
      readonly table: ObjectName
      readonly name: string
      readonly when: Condition
      readonly definition: string
    }
  | { readonly kind: 'dropCheck'; readonly table: ObjectName; readonly name: string }
  | {
      readonly kind: 'alterColumn'
      readonly table: ObjectName
      readonly column: string
      readonly type: SqlType
      readonly nullable: boolean
    }
  | {
      readonly kind: 'setBroker'
      /** Null: CURRENT. */
      readonly database: string | null
      readonly enable: boolean
    }
  | { readonly kind: 'print'; readonly value: Expression }
  | { readonly kind: 'use'; readonly database: string }
)
/** A statement before its place is known. */
export type Unlined = Statement extends infer S ? (S extends Statement ? Omit<S, 'line'> : never) : never
export type StatementOf<K extends Statement['kind']> = Extract<Statement, { kind: K }>
