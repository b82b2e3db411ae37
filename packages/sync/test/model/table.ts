import type { Value } from '@clinic-sync/contracts'
import type { Column, ColumnType, ConflictPolicy, Table } from '@clinic-sync/mapping'
import type { Values } from '../../src/index.ts'

/** One kind of schedule: what the mapping says, and who may do what. */
export interface Setup {
  readonly policies: Readonly<Record<'s' | 't', ConflictPolicy>>
  /** What becomes of the portal's deletes. */
  readonly deletes: 'restore' | 'propagate'
  /** Whether some records are the clinic's alone (kind B), as Lab notes are. */
  readonly kinds: boolean
  /** Whether staff change a record's kind (and doctors try to). Who may write what then changes while edits are in flight. */
  readonly flips: boolean
  readonly clinicDeletes: boolean
  readonly portalDeletes: boolean
  /** Whether events overtake each other; duplicates and replays there are always. */
  readonly reorder: boolean
  /** Whether a trigger of the clinic's takes trailing blanks off `t`. */
  readonly trims: boolean
  /** Whether the clinic refuses some of the doctors' texts, until it is cured in the end. */
  readonly refuses: boolean
}

const column = (name: string, type: ColumnType, clinicType: string, more: Partial<Column> = {}): Column => ({
  name,
  clinic: name,
  type,
  clinicType,
  portalType: type,
  notNull: false,
  owner: 'clinic',
  policy: 'clinic-wins',
  computed: false,
  ...more,
})

/**
 * `a` and `u` are edited by the clinic only, `v` by doctors only (`u` and `v` are shared all the same), `s` and `t` by
 * both; `d` is computed in the clinic; `kind` is the clinic's.
 */
export const tableFor = ({ policies, deletes, kinds }: Setup): Table => ({
  name: 'aligner_notes',
  clinic: 'records',
  clinicIsView: false,
  isOurs: false,
  key: column('id', 'int', 'int'),
  columns: [
    column('kind', 'text', 'varchar(20)'),
    column('a', 'int', 'int'),
    column('s', 'int', 'int', { owner: 'shared', policy: policies.s }),
    column('t', 'text', 'nvarchar(max)', { owner: 'shared', policy: policies.t }),
    column('u', 'int', 'int', { owner: 'shared' }),
    column('v', 'instant', 'datetime', { owner: 'shared' }),
    column('d', 'int', 'int', { computed: true }),
  ],
  parents: [],
  scope: { kind: 'all' },
  sources: [],
  deletes: { clinic: 'propagate', portal: deletes },
  portalInserts: true,
  uniqueInPortal: [],
  sharedWhen: kinds ? { column: 'kind', equals: 'A' } : null,
})

export const SHARED = ['s', 't', 'u', 'v'] as const

/** A value for a column from a number; texts sometimes end in a blank, sometimes the clinic refuses them. */
export function valueFor(name: string, n: number): Value {
  if (name === 't') return `${n}${n % 5 === 0 ? ' ' : ''}${n % 7 === 0 ? '!' : ''}`
  return name === 'v' ? new Date(Date.UTC(2026, 0, 1) + n).toISOString() : n
}

export const isRefused = (value: Value): boolean => typeof value === 'string' && value.endsWith('!')

export const newRow = (id: number, kind: 'A' | 'B', n: number): Values => ({
  id,
  kind,
  a: n,
  s: n,
  t: valueFor('t', n),
  u: n,
  v: valueFor('v', n),
  d: null,
})

/** What the clinic's columns, its trigger and its computed column make of a row. */
export function stored(row: Values, { trims }: Setup): Values {
  const { s = null, t = null, v = null } = row
  return {
    ...row,
    t: trims && typeof t === 'string' ? t.trimEnd() : t,
    v: typeof v === 'string' ? roundedToDatetime(v) : v,
    d: typeof s === 'number' ? s * 10 : null,
  }
}

/** `datetime` has ticks of 1/300 s, read back in milliseconds. */
export function roundedToDatetime(instant: string): string {
  const ticks = Math.round((Date.parse(instant) * 3) / 10)
  return new Date(Math.round((ticks * 10) / 3)).toISOString()
}
