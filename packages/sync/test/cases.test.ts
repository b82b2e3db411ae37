// The table of cases, run against the rules in TypeScript. The clinic's and the portal's packages run it against theirs.
import type { Row, Value } from '@clinic-sync/contracts'
import { allColumns, sharedColumns } from '@clinic-sync/mapping'
import t, { type Test } from 'tap'
import {
  type ClinicCase,
  completeRow,
  mergeCases,
  type PortalApplyCase,
  type PortalEditCase,
  tableOf,
} from '../src/cases/index.ts'
import { applyClinicChange, captureEdit, clinicTypes, type PortalRecord, ruleOnPortalEdit } from '../src/index.ts'

/** As much of `found` as `expected` names. */
function named(found: Readonly<Record<string, Value>> | null, expected: Row | null): Row | null {
  if (found === null || expected === null) return found
  return Object.fromEntries(Object.keys(expected).map((name) => [name, found[name] ?? null]))
}

/** The row as it is once the clinic has computed its columns. */
function computed({ table: name, key, deletes }: ClinicCase, row: Row | null): Row | null {
  const theirs = allColumns(tableOf({ table: name, deletes })).filter((column) => !column.computed)
  return (
    row && completeRow(name, key, Object.fromEntries(theirs.map((column) => [column.name, row[column.name] ?? null])))
  )
}

/** Set 1 is there, no other one is. */
const types = clinicTypes((_table, key) => key === 1)

function clinic(t: Test, each: ClinicCase) {
  const { state, event, expect } = each
  const before = JSON.stringify(state)
  const ruling = ruleOnPortalEdit(
    tableOf(each),
    each.key,
    { row: state.row, seen: BigInt(state.seen), reported: state.reported },
    {
      version: BigInt(event.version),
      since: event.since === null ? null : BigInt(event.since),
      base: event.base,
      row: event.row,
      ...(event.inexact && { inexact: true }),
    },
    types,
  )
  const { record } = ruling
  t.equal(JSON.stringify(state), before, 'nothing is changed in place')
  t.equal(ruling.outcome, expect.outcome, 'outcome')
  t.equal(ruling.code, expect.code, 'code')
  t.ok((ruling.reason ?? '').includes(expect.reason ?? ''), 'reason')
  t.strictSame(named(computed(each, record.row && { ...record.row }), expect.row), expect.row, 'row')
  t.equal(String(record.seen), expect.seen, 'seen')
  t.strictSame(named(record.reported, expect.reported), expect.reported, 'reported')
  t.equal(ruling.queue !== null || ruling.write !== null, expect.queued, 'queued')
  t.equal(ruling.conflicts.length, expect.conflicts.length, 'number of conflicts')
  for (const expected of expect.conflicts) {
    const found = ruling.conflicts.find(({ column }) => column === expected.column)
    t.match(found, expected, `conflict ${expected.column}`)
  }
}

const recordOf = ({ state }: PortalApplyCase | PortalEditCase): PortalRecord => ({
  row: state.row,
  clinicVersion: BigInt(state.clinicVersion),
  localVersion: BigInt(state.localVersion),
  since: state.since === null ? null : BigInt(state.since),
  base: state.base,
  pending: state.pending.map(BigInt),
})

function portalApply(t: Test, each: PortalApplyCase) {
  const { event, expect } = each
  const { outcome, record, lost } = applyClinicChange(tableOf(each), recordOf(each), {
    version: BigInt(event.version),
    seen: BigInt(event.seen),
    row: event.row,
  })
  const { outcome: expected, lost: gone, ...state } = expect
  t.equal(outcome, expected, 'outcome')
  t.equal(lost, gone, 'lost')
  t.strictSame(
    {
      row: named(record.row, state.row),
      clinicVersion: String(record.clinicVersion),
      localVersion: String(record.localVersion),
      since: record.since === null ? null : String(record.since),
      base: named(record.base, state.base),
      pending: record.pending.map(String),
    },
    { ...state },
  )
}

const NEW = 100n

function portalEdit(t: Test, each: PortalEditCase) {
  const { edit, expect } = each
  const record = recordOf(each)
  const row = 'delete' in edit ? null : 'insert' in edit ? edit.insert : { ...record.row, ...edit.set }
  const { captured, record: after, overruled } = captureEdit(tableOf(each), record, row, NEW)
  t.equal(captured, expect.captured, 'captured')
  t.equal(after.localVersion, captured ? NEW : record.localVersion, 'localVersion')
  t.equal(after.clinicVersion, record.clinicVersion, 'clinicVersion')
  t.strictSame(named(after.row, expect.row), expect.row, 'row')
  t.equal(after.since === NEW ? 'new' : (after.since?.toString() ?? null), expect.since, 'since')
  t.strictSame(named(after.base, expect.base), expect.base, 'base')
  t.equal(after.pending.length, expect.pending, 'pending')
  t.equal(overruled.length > 0, expect.lost, 'lost')
}

const cases = mergeCases()

t.test('the table itself', async (t) => {
  t.ok(cases.length >= 60, `${cases.length} cases`)
  t.equal(new Set(cases.map(({ name }) => name)).size, cases.length, 'names are unique')
  for (const each of cases) {
    const table = tableOf(each)
    const columns = [...allColumns(table).map(({ name }) => name), 'updated_at']
    const shared = sharedColumns(table).map(({ name }) => name)
    const rows = [each.state.row, each.expect.row, 'event' in each ? each.event.row : null]
    const parts = [
      ...('edit' in each ? [each.state.base, each.expect.base] : []),
      ...(each.side === 'clinic' ? [each.state.reported, each.event.base, each.expect.reported] : []),
    ]
    for (const row of rows) for (const name of Object.keys(row ?? {})) if (!columns.includes(name)) t.fail(each.name)
    for (const part of parts) for (const name of Object.keys(part ?? {})) if (!shared.includes(name)) t.fail(each.name)
  }
})

for (const each of cases) {
  t.test(`${each.side}: ${each.name}`, async (t) => {
    if (each.side === 'clinic') clinic(t, each)
    else if ('event' in each) portalApply(t, each)
    else portalEdit(t, each)
  })
}
