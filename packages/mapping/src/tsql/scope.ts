import { tableNamed, tables } from '../tables/index.ts'
import type { Table } from '../types.ts'
import { clinicColumn, inClinic, indent, literal, name } from './text.ts'

/** The condition under which the clinic's row with alias `alias` is synced; null: always. */
export function inScope(table: Table, alias: string): string | null {
  const { scope } = table
  switch (scope.kind) {
    case 'all':
      return null
    case 'except': {
      const { clinic } = clinicColumn(table, scope.column)
      // A NULL is not the value: NULL <> 'x' alone would leave it out.
      return `(${alias}.${name(clinic)} IS NULL OR ${alias}.${name(clinic)} <> ${literal(scope.value)})`
    }
    case 'referenced': {
      const by = tableNamed(scope.by)
      const parent = by.parents.find((candidate) => candidate.table === table.name)
      if (parent === undefined) throw new Error(`${by.name} does not refer to ${table.name}`)
      const inner = `${alias}${alias.length}`
      const column = name(clinicColumn(by, parent.column).clinic)
      const further = inScope(by, inner)
      return `EXISTS (SELECT 1 FROM ${inClinic(by)} ${inner} WHERE ${inner}.${column} = ${alias}.${name(table.key.clinic)}${
        further === null ? '' : `\n  AND ${indent(further, 2)}`
      })`
    }
  }
}

/** ` AND condition`, or nothing. */
export function andInScope(table: Table, alias: string, blanks: number): string {
  const condition = inScope(table, alias)
  return condition === null ? '' : `\n${' '.repeat(blanks)}AND ${indent(condition, blanks)}`
}

/** How to come from a row to one of its ancestors: the columns that lead there, nearest first. */
export interface Ancestor {
  readonly table: Table
  /** References from the child upwards; the first one's column is the child's own. */
  readonly path: readonly { readonly from: Table; readonly column: string; readonly to: Table }[]
}

/**
 * The ancestors that a row brings into the portal with it: those that are synced only when something refers to them.
 * Furthest first, the order in which they must be queued.
 */
export function broughtBy(table: Table): Ancestor[] {
  const found: Ancestor[] = []
  const climb = (from: Table, path: Ancestor['path']) => {
    for (const { column, table: parentName } of from.parents) {
      const to = tableNamed(parentName)
      if (to.scope.kind !== 'referenced') continue
      if (to.deletes.clinic === 'propagate') {
        throw new Error(`${to.name} leaves the portal with its last reference: its capture is not generated yet`)
      }
      const further = [...path, { from, column: clinicColumn(from, column).clinic, to }]
      climb(to, further)
      found.push({ table: to, path: further })
    }
  }
  climb(table, [])
  return found.sort((a, b) => tables.indexOf(a.table) - tables.indexOf(b.table))
}
