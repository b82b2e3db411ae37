import type { Key } from '@clinic-sync/contracts'
import type { Table, TableName } from '@clinic-sync/mapping'
import type { Found } from './look.ts'
import { type Left, portalsColumns, type Steps, stepsFor } from './steps.ts'

/** What would be done in one table: figures and column names. */
export interface TablePlan {
  readonly table: TableName
  /** Records whose row goes from the clinic to the portal, and how often each column is one that differs. */
  fromClinic: number
  readonly clinicColumns: Map<string, number>
  /** Of these: those that the portal lacks. */
  missing: number
  /** Records whose row, or some of whose shared columns, go from the portal to the clinic. */
  fromPortal: number
  readonly portalColumns: Map<string, number>
  /** Of these: notes that the clinic has never had. */
  born: number
  /** Records that the clinic lacks, and that are deleted in the portal. */
  deleted: number
  readonly left: Record<Left, number>
}

/** Gathers, while a comparison runs, what a repair would do. It keeps keys and figures, no rows. */
export class RepairPlan {
  readonly #tables = new Map<Table, { readonly plan: TablePlan; readonly keys: Key[] }>()

  /** The records that differ, in the order in which they were found. */
  get keys(): ReadonlyMap<Table, readonly Key[]> {
    return new Map([...this.#tables].map(([table, { keys }]) => [table, keys]))
  }

  get tables(): readonly TablePlan[] {
    return [...this.#tables.values()].map(({ plan }) => plan)
  }

  /** Whether anything would be sent. */
  get isEmpty(): boolean {
    return this.tables.every(({ fromClinic, fromPortal, deleted }) => fromClinic + fromPortal + deleted === 0)
  }

  add(found: Found): void {
    const { plan, keys } = this.#of(found.table)
    keys.push(found.key)
    // Whether what it belongs to is there is looked at when it is repaired.
    const steps = stepsFor(found, true)
    count(plan, found, steps)
  }

  #of(table: Table) {
    const known = this.#tables.get(table)
    if (known !== undefined) return known
    const made = { plan: emptyPlan(table.name), keys: [] }
    this.#tables.set(table, made)
    return made
  }
}

function count(plan: TablePlan, found: Found, steps: Steps): void {
  if (steps.left !== null) plan.left[steps.left]++
  const portals = portalsColumns(found, steps)
  if (steps.send !== null) {
    plan.fromPortal++
    if (steps.send.base === null) plan.born++
    else for (const name of portals) add(plan.portalColumns, name)
  }
  const clinics = found.columns.filter((name) => !portals.includes(name))
  if (!steps.queue) return
  if (found.kind === 'extra') plan.deleted++
  else if (found.kind === 'missing') {
    plan.fromClinic++
    plan.missing++
  } else if (clinics.length > 0) {
    plan.fromClinic++
    for (const name of clinics) add(plan.clinicColumns, name)
  }
}

const add = (counts: Map<string, number>, name: string) => counts.set(name, (counts.get(name) ?? 0) + 1)

const emptyPlan = (table: TableName): TablePlan => ({
  table,
  fromClinic: 0,
  clinicColumns: new Map(),
  missing: 0,
  fromPortal: 0,
  portalColumns: new Map(),
  born: 0,
  deleted: 0,
  left: { stuck: 0, 'portal-only': 0 },
})
