// For tests only: the table of cases that every implementation of the rules is run against. See the package's README.
import { readFileSync } from 'node:fs'
import type { Row } from '@clinic-sync/contracts'
import { type Table, type TableName, tableNamed } from '@clinic-sync/mapping'
import { completeRow, completeShared } from './defaults.ts'
import type { ClinicCase, MergeCase, PortalApplyCase, PortalEditCase } from './types.ts'

export { completeRow, completeShared } from './defaults.ts'
export type * from './types.ts'

/** The file, found from `src` and from `dist` alike. */
export const MERGE_CASES = new URL('../../cases/merge-cases.json', import.meta.url)

/** A case as it stands in the file: what is left out has a default, rows are partial. */
type Written<C> = Omit<C, 'key' | 'deletes'> & Partial<Pick<MergeCase, 'key' | 'deletes'>>
type WrittenCase = Written<ClinicCase> | Written<PortalApplyCase> | Written<PortalEditCase>

function complete(written: WrittenCase): MergeCase {
  const { table } = written
  const key = written.key ?? 7
  const deletes = written.deletes ?? 'restore'
  const row = (named: Row | null) => named && completeRow(table, key, named)
  const shared = (named: Row | null) => named && completeShared(table, named)
  if (written.side === 'clinic') {
    const { state, event } = written
    return {
      ...written,
      key,
      deletes,
      state: { ...state, row: row(state.row), reported: shared(state.reported) },
      event: { ...event, base: shared(event.base), row: row(event.row) },
    }
  }
  const state = { ...written.state, row: row(written.state.row), base: shared(written.state.base) }
  if ('event' in written) {
    return { ...written, key, deletes, state, event: { ...written.event, row: row(written.event.row) } }
  }
  const { edit } = written
  const whole = 'insert' in edit ? { insert: completeRow(table, key, edit.insert) } : edit
  return { ...written, key, deletes, state, edit: whole }
}

/** Long texts stand in the file as `{"repeat": "abc", "times": 900, "then": "."}`. */
const longTexts = (_name: string, value: unknown): unknown => {
  if (typeof value !== 'object' || value === null || !('repeat' in value)) return value
  const { repeat, times, then } = value as { repeat: string; times: number; then: string }
  return repeat.repeat(times) + then
}

/** All cases, in the file's order, with the rows of their states, events and inserts completed. */
export function mergeCases(): MergeCase[] {
  return (JSON.parse(readFileSync(MERGE_CASES, 'utf8'), longTexts) as WrittenCase[]).map(complete)
}

export const clinicCases = (): ClinicCase[] => mergeCases().filter((each) => each.side === 'clinic')
export const portalApplyCases = (): PortalApplyCase[] =>
  mergeCases().filter((each): each is PortalApplyCase => each.side === 'portal' && 'event' in each)
export const portalEditCases = (): PortalEditCase[] =>
  mergeCases().filter((each): each is PortalEditCase => each.side === 'portal' && 'edit' in each)

/** The case's table as the mapping has it, or the variant in which the portal's deletes propagate. */
export function tableOf({ table: name, deletes }: { table: TableName; deletes: 'restore' | 'propagate' }): Table {
  const table = tableNamed(name)
  return deletes === 'restore' ? table : { ...table, deletes: { ...table.deletes, portal: deletes } }
}
