import { SqlError } from '../values/errors.ts'
import type { SqlType, SqlValue } from '../values/types.ts'
import { Broker } from './broker.ts'
import { SERVICE_PASSWORD } from './permissions.ts'
import type { Result, Work } from './work.ts'
import { type Relation, tableRelation } from './relation.ts'
import type { Session } from './session.ts'
import type { Table } from './table.ts'
import type { Transaction } from './transaction.ts'

/** One row's change as a trigger sees it: no `before` in an insert, no `after` in a delete. */
export interface RowChange {
  readonly before: readonly SqlValue[] | null
  readonly after: readonly SqlValue[] | null
}
export interface Trigger {
  readonly name: string
  readonly table: Table
  readonly fire: (work: Work, changes: readonly RowChange[]) => void
}
export interface Parameter {
  readonly name: string
  readonly type: SqlType
  readonly default?: SqlValue
  /** The migration that brings it; missing: it has always been there. */
  readonly since?: string
}
export interface Procedure {
  readonly name: string
  readonly parameters: readonly Parameter[]
  /** Its own SET LOCK_TIMEOUT, ms; missing: the session's. */
  readonly lockTimeout?: number
  /** How often it says that it is still waiting, ms; null: it does not. */
  readonly beatMs?: (args: readonly SqlValue[]) => number | null
  /** What it throws (51222) where that has passed. */
  readonly busy?: string
  readonly run: (
    work: Work,
    args: readonly SqlValue[],
    signal: AbortSignal,
  ) => readonly Result[] | Promise<readonly Result[]>
}

const id = (schema: string, name: string) => `${schema === '' ? 'dbo' : schema}.${name}`.toLowerCase()

/** The one database: its objects by name. An object that is not installed yet is not found. */
export class Database {
  readonly name: string
  readonly broker = new Broker()
  readonly #tables = new Map<string, Table>()
  readonly #views = new Map<string, Relation>()
  readonly #procedures = new Map<string, Procedure>()
  readonly #triggers: Trigger[] = []
  readonly #hidden = new Set<string>()
  readonly #disabledTriggers = new Set<string>()
  /** Those that fire, by table; empty again when one is installed, enabled or disabled. */
  readonly #triggersOn = new Map<Table, readonly Trigger[]>()
  queueId = 0n
  /** Names of the migrations that have been applied in full. */
  readonly applied = new Set<string>()
  /** The texts that made the triggers, by name. */
  readonly definitions = new Map<string, string>()
  /** Whether role clinic_sync has been made, and been granted the procedures. */
  hasRole = true
  /** The password of the login that may execute what the role may. */
  servicePassword = SERVICE_PASSWORD
  /** Ends all other sessions, as `WITH ROLLBACK IMMEDIATE` does; the server that holds their connections knows how. */
  dropOthers: (session: Session) => void = () => {}

  constructor(name: string) {
    this.name = name
  }

  addTable(table: Table): Table {
    this.#tables.set(table.name.toLowerCase(), table)
    return table
  }
  addView(schema: string, view: Relation): void {
    this.#views.set(id(schema, view.name), view)
  }
  addProcedure(schema: string, procedure: Procedure): void {
    this.#procedures.set(id(schema, procedure.name), procedure)
  }
  addTrigger(trigger: Trigger): void {
    this.#triggers.push(trigger)
    this.#triggersOn.clear()
  }

  /** Makes an object unknown until it is installed. */
  hide(schema: string, name: string): void {
    this.#hidden.add(id(schema, name))
    this.#triggersOn.clear()
  }
  install(schema: string, name: string): void {
    this.#hidden.delete(id(schema, name))
    this.#triggersOn.clear()
  }
  installAll(): void {
    this.#hidden.clear()
    this.#triggersOn.clear()
  }
  isInstalled(schema: string, name: string): boolean {
    return !this.#hidden.has(id(schema, name))
  }

  findTable(schema: string, name: string): Table | undefined {
    const key = id(schema, name)
    return this.#hidden.has(key) ? undefined : this.#tables.get(key)
  }
  /** @throws SqlError 208 */
  table(schema: string, name: string): Table {
    const found = this.findTable(schema, name)
    if (found === undefined) throw new SqlError(208, `Invalid object name '${schema ? `${schema}.` : ''}${name}'.`)
    return found
  }
  /** A table or view. @throws SqlError 208 */
  relation(schema: string, name: string): Relation {
    const key = id(schema, name)
    const view = this.#hidden.has(key) ? undefined : this.#views.get(key)
    return view ?? tableRelation(this.table(schema, name))
  }
  isView(schema: string, name: string): boolean {
    return this.#views.has(id(schema, name)) && !this.#hidden.has(id(schema, name))
  }
  procedure(schema: string, name: string): Procedure | undefined {
    const key = id(schema, name)
    return this.#hidden.has(key) ? undefined : this.#procedures.get(key)
  }
  procedureNames(schema: string): string[] {
    return [...this.#procedures.entries()].filter(([key]) => key.startsWith(`${schema}.`)).map(([, p]) => p.name)
  }
  get triggers(): readonly Trigger[] {
    return this.#triggers.filter((t) => !this.#hidden.has(id(t.table.definition.schema, t.name)))
  }
  isEnabled(trigger: Trigger): boolean {
    return !this.#disabledTriggers.has(trigger.name.toLowerCase())
  }
  enableTrigger(tx: Transaction, { name }: Trigger, on: boolean): void {
    const key = name.toLowerCase()
    const was = this.#disabledTriggers.has(key)
    const set = (disabled: boolean) => {
      this.#triggersOn.clear()
      if (disabled) this.#disabledTriggers.add(key)
      else this.#disabledTriggers.delete(key)
    }
    set(!on)
    tx.did(() => set(was))
  }
  triggersOn(table: Table): readonly Trigger[] {
    let found = this.#triggersOn.get(table)
    if (found === undefined) {
      found = this.triggers.filter((t) => t.table === table && this.isEnabled(t))
      this.#triggersOn.set(table, found)
    }
    return found
  }
  get tables(): readonly Table[] {
    return [...this.#tables.entries()].filter(([key]) => !this.#hidden.has(key)).map(([, table]) => table)
  }

  /** The kind and a stable number of an object, for OBJECT_ID. */
  objectId(schema: string, name: string, kind: string | null): number | null {
    const key = id(schema, name)
    if (this.#hidden.has(key)) return null
    const kinds: [string, Iterable<string>][] = [
      ['U', this.#tables.keys()],
      ['V', this.#views.keys()],
      ['P', this.#procedures.keys()],
      ['TR', this.triggers.map((t) => id(t.table.definition.schema, t.name))],
      ['SO', this.#hidden.has('dbo.syncqueue') ? [] : ['sync.queueids']],
    ]
    let number = 1_000_000
    for (const [type, names] of kinds) {
      for (const found of names) {
        number++
        if (found === key && (kind === null || kind.trim().toUpperCase() === type)) return number
      }
    }
    return null
  }
}
