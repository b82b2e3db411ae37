import type { Value } from '@clinic-sync/contracts'
import { type ClinicRecord, type Ruling, ruleOnPortalEdit, type Values } from '@clinic-sync/sync'
import type { Procedure } from '../engine/database.ts'
import { Blocked, isBlocked } from '../engine/locks.ts'
import type { Row } from '../engine/row.ts'
import type { Table } from '../engine/table.ts'
import { resultColumn, type Work } from '../engine/work.ts'
import { SqlError } from '../values/errors.ts'
import { INT, MAX, nvarchar, type SqlValue, type } from '../values/types.ts'
import { checkedArray, checkedRecords, isBigint, isInt, isObject, isTableName, optional, orNull } from './arguments.ts'
import { clinicTypesOf, Locked } from './apply-types.ts'
import { writeRulings } from './apply-write.ts'
import { schemaOf } from './capture.ts'
import { thrown } from './malformed.ts'
import { type Records, wireRow } from './records.ts'
import { checkTakenOver } from './original.ts'
import type { Outbox } from './outbox.ts'
import { isHeld } from './restoring.ts'

interface Change {
  readonly table: string
  readonly key: number
  readonly version: string
  readonly since: string | null
  readonly base: Values | null
  readonly row: Values | null
  readonly inexact?: boolean
}

/** A ruling, and where to write what it says. */
export interface Ruled {
  readonly records: Records
  readonly key: number
  readonly version: bigint
  readonly table: Table
  /** The business row; null: there is none. */
  readonly row: Row | null
  /** The row of sync.RowState; undefined: there is none. */
  readonly state: Row | undefined
  readonly before: ClinicRecord
  readonly ruling: Ruling
}

const COLUMNS = [
  resultColumn('Ordinal', INT),
  resultColumn('Outcome', type('varchar', 20)),
  resultColumn('Code', type('varchar', 64)),
  resultColumn('Reason', nvarchar(1000)),
]

interface Answer {
  readonly outcome: string
  readonly code?: string
  readonly reason?: string
}

/**
 * `sync.ApplyPortalChanges @Changes`, by the rules of packages/sync. Everything is ruled on before anything is written: each
 * record is in a batch once, so no ruling depends on another's.
 */
export function applyPortalChanges(outbox: Outbox, all: ReadonlyMap<string, Records>): Procedure {
  return {
    name: 'ApplyPortalChanges',
    parameters: [{ name: 'Changes', type: nvarchar(MAX) }],
    run(work, [text]) {
      const ruled: Ruled[] = []
      const changes = parse(text)
      if (isHeld(work))
        throw thrown(
          51_230,
          'sync.ApplyPortalChanges: this database was restored from a backup, and that is not repaired yet',
        )
      if (changes.length > 0) checkTakenOver(work, outbox, 'ApplyPortalChanges')
      let answers = changes.map((change) => judge(work, all, change, ruled))
      const mark = work.tx.mark
      try {
        writeRulings(work, ruled)
      } catch (error) {
        const [only] = ruled
        const refused = answers.length === 1 && only !== undefined ? refusalOf(only, error) : null
        if (refused === null) throw error
        work.tx.undoTo(mark)
        answers = [refused]
      }
      const rows = answers.map(({ outcome, code, reason }, index) => [
        index + 1,
        outcome,
        code ?? null,
        reason?.slice(0, 1000) ?? null,
      ])
      return [{ columns: COLUMNS, rows, count: rows.length }]
    },
  }
}

/** The answer for a change that came alone and that a CHECK of the clinic's own refused. */
function refusalOf({ records, key, table }: Ruled, error: unknown): Answer | null {
  if (!(error instanceof SqlError) || error.number !== 547) return null
  const name = /the CHECK constraint "([^"]+)"/.exec(error.message)?.[1]
  if (name === undefined) return null
  const definition = table.checks.get(name.toLowerCase())?.definition ?? ''
  const reason = `${records.mapped.name}/${key}: the clinic's CHECK ${name} refuses it: ${definition}`
  return { outcome: 'dead', code: 'SYNC_BAD_VALUE', reason }
}

const SHAPE = {
  table: isTableName,
  key: isInt,
  version: isBigint,
  since: orNull(isBigint),
  base: orNull(isObject),
  row: orNull(isObject),
  inexact: optional((value) => typeof value === 'boolean'),
}

function parse(text: SqlValue | undefined): readonly Change[] {
  const items = checkedArray('sync.ApplyPortalChanges', '@Changes', text, SHAPE) as unknown as readonly Change[]
  checkedRecords(
    'sync.ApplyPortalChanges',
    '@Changes',
    items.map(({ table, key }) => `${table}/${key}`),
  )
  return items
}

/** Rules on one change; where something is to be written, adds it to `ruled`. */
function judge(work: Work, all: ReadonlyMap<string, Records>, change: Change, ruled: Ruled[]): Answer {
  const records = all.get(change.table)
  if (records === undefined) {
    return { outcome: 'dead', code: 'SYNC_NOT_PORTALS', reason: `${change.table.slice(0, 100)}: not a synced table` }
  }
  const { key } = change
  const version = BigInt(change.version)
  const { state, seen, reported } = stateOf(work, records, key)
  const edit = { ...change, version, since: change.since === null ? null : BigInt(change.since) }
  const types = clinicTypesOf(work, all, records)
  const rule = (row: Values | null) => {
    const before = { row, seen, reported }
    return { before, ruling: ruleOnPortalEdit(records.mapped, key, before, edit, types) }
  }
  // What has been seen already, or is none of the portal's, needs no look at the row.
  if (version <= seen || records.mapped.clinicIsView) return rule(null).ruling

  const table = work.db.table(schemaOf(records.mapped), records.mapped.clinic)
  const found = table.get(key)
  const locked = { outcome: 'retry', code: '1222', reason: 'locked in the clinic' }
  if (found !== undefined && isBlocked(work.tx, found, 'U')) return locked
  const row = found === undefined || found.deleted || found.gone ? null : found
  try {
    const decided = rule(row && wireRow(records, { values: row.values, row }))
    ruled.push({ records, key, version, table, row, state, ...decided })
    return decided.ruling
  } catch (error) {
    if (error instanceof Locked) return locked
    throw error
  }
}

/** What `sync.RowState` knows of the record. Only this procedure writes there, in short transactions: it waits for those. */
function stateOf(work: Work, { mapped }: Records, key: number) {
  const states = work.db.table('sync', 'RowState')
  const state = states.get(states.keyFor([mapped.name, key]))
  if (state === undefined) return { state, seen: 0n, reported: null }
  if (isBlocked(work.tx, state, 'U')) throw new Blocked(state, 'U')
  if (state.deleted || state.gone) return { state: undefined, seen: 0n, reported: null }
  const values = state.values[states.ordinal('PortalValues')] as string | null
  return {
    state,
    seen: state.values[states.ordinal('SeenPortalVersion')] as bigint,
    reported: values === null ? null : (JSON.parse(values) as Record<string, Value>),
  }
}
