import type { Procedure } from '../engine/database.ts'
import { nowDatetime2 } from '../engine/clock.ts'
import { isBlocked } from '../engine/locks.ts'
import type { Row } from '../engine/row.ts'
import type { Work } from '../engine/work.ts'
import { TICKS_A_DAY } from '../values/calendar.ts'
import { MAX, nvarchar, type SqlValue } from '../values/types.ts'
import {
  checkedArray,
  checkedTables,
  isBigint,
  isInt,
  isOneOf,
  isTableName,
  isText,
  optional,
  orNull,
} from './arguments.ts'
import type { Outbox } from './outbox.ts'
import type { Records } from './records.ts'
import { set } from './take.ts'

interface Outcome {
  readonly table: string
  readonly key: number
  readonly version: bigint
  readonly outcome: string
  readonly error: string | null
}
const DONE = new Set(['applied', 'duplicate', 'stale', 'unchanged', 'conflict'])
/** Of several outcomes in one call: as the procedure's statements come, the final ones last. */
const ORDER = ['queued', 'retry', 'dead', 'discarded'] as const
const [PAGE, ROUNDS] = [500, 10]

/** `sync.SettleChanges @Outcomes`: moves outbox rows on by outcome, then purges old ones. */
export function settleChanges(outbox: Outbox, all: ReadonlyMap<string, Records>): Procedure {
  return {
    name: 'SettleChanges',
    parameters: [{ name: 'Outcomes', type: nvarchar(MAX) }],
    run(work, [text]) {
      const now = nowDatetime2(3)
      for (const outcome of inOrder(parse(all, text))) settle(work, outbox, outcome, now)
      purge(work, outbox)
      return []
    },
  }
}

const SHAPE = {
  table: isTableName,
  key: isInt,
  version: isBigint,
  outcome: isOneOf(...ORDER, ...DONE),
  code: optional(orNull(isText)),
  reason: optional(orNull(isText)),
}

function parse(all: ReadonlyMap<string, Records>, text: SqlValue | undefined): Outcome[] {
  const items = checkedArray('sync.SettleChanges', '@Outcomes', text, SHAPE)
  checkedTables(
    'sync.SettleChanges',
    '@Outcomes',
    all,
    items.map(({ table }) => table),
  )
  return items.map((o) => {
    const [code, reason] = [text_(o.code), text_(o.reason)]
    const error = code !== null && reason !== null ? `${code}: ${reason}` : (code ?? reason)
    return {
      table: String(o.table),
      key: Number(o.key),
      version: BigInt(String(o.version)),
      outcome: String(o.outcome),
      error: error?.slice(0, 1000) ?? null,
    }
  })
}
/** Of several versions of a record that are dead, the highest says why: it answers for the rows of the others. */
function inOrder(outcomes: readonly Outcome[]): Outcome[] {
  const place = ({ outcome }: Outcome) => {
    const found = ORDER.findIndex((each) => each === outcome)
    return found < 0 ? ORDER.length : found
  }
  const byVersion = (a: bigint, b: bigint) => (a === b ? 0 : a < b ? -1 : 1)
  return outcomes
    .map((outcome) => ({ outcome, place: place(outcome) }))
    .sort((a, b) => a.place - b.place || byVersion(a.outcome.version, b.outcome.version))
    .map(({ outcome }) => outcome)
}

/** What stands before the first colon of a LastError. */
export const causeOf = (error: string): string => error.split(':', 1)[0] ?? ''
/** Of a LastError: an operator has given the row up. */
export const isDiscarded = (error: SqlValue | undefined): boolean => String(error).startsWith('SYNC_DISCARDED:')

const text_ = (value: unknown): string | null => (typeof value === 'string' ? value : null)

/** The LastError of a change that the portal has taken for an old one. */
const RESTORED =
  'SYNC_RESTORED: the portal has had later versions of this record than the clinic has handed out: ' +
  'the clinic was restored from a backup'

function settle(work: Work, outbox: Outbox, { table, key, version, outcome, error }: Outcome, now: bigint): void {
  const rows = outbox.ofRecord(table, key)
  const isOurs = ({ values }: Row) => ((values[outbox.at.EventVersion] as bigint | null) ?? 0n) <= version
  const isLatest = outcome === 'stale' && rows.every(isOurs)
  for (const row of rows) {
    const carried = row.values[outbox.at.EventVersion] as bigint | null
    const status = row.values[outbox.at.Status] as string
    if (carried === null || carried > version) continue
    const before = (row.values[outbox.at.LastError] ?? null) as string | null
    const attempts = (row.values[outbox.at.Attempts] as number) + 1
    const open = status === 'Pending' || status === 'Queued'
    if (outcome === 'queued') {
      if (carried === version && status === 'Pending')
        set(work, outbox, row, { Status: 'Queued', Attempts: attempts, LastAttempt: now })
    } else if (outcome === 'retry') {
      if (carried === version && open)
        set(work, outbox, row, { Status: 'Queued', Attempts: attempts, LastAttempt: now, LastError: error })
    } else if (outcome === 'dead') {
      if (open || isOpenFailure(status, before))
        set(work, outbox, row, { Status: 'Failed', LastAttempt: now, LastError: error })
    } else if (outcome === 'discarded') {
      if (status !== 'Queued' && !isOpenFailure(status, before)) continue
      const was = before === null ? '' : ` (was ${causeOf(before)})`
      const reason = `SYNC_DISCARDED: ${(error ?? 'no reason was given').slice(0, 850)}${was}`.slice(0, 1000)
      set(work, outbox, row, { Status: 'Failed', LastAttempt: now, LastError: reason })
    } else if (isLatest && carried === version) {
      if (open || isOpenFailure(status, before))
        set(work, outbox, row, { Status: 'Failed', LastAttempt: now, LastError: RESTORED })
    } else if (DONE.has(outcome) && status !== 'Synced')
      set(work, outbox, row, { Status: 'Synced', LastAttempt: now, LastError: null })
  }
}

const isOpenFailure = (status: string, error: string | null) => status === 'Failed' && !isDiscarded(error)

/** Synced rows older than the retention, from the oldest on: pages of 500, ten at most, until a page is not all old. */
function purge(work: Work, outbox: Outbox): void {
  const settings = work.db.table('sync', 'Settings')
  const setting = settings.get(settings.keyFor(['RetentionDays']))
  const days = Number(setting?.deleted ? null : setting?.values[settings.ordinal('Value')])
  const retention = Number.isInteger(days) && days >= 1 && days <= 36_500 ? days : 7
  const before = nowDatetime2(3) - BigInt(retention) * TICKS_A_DAY
  const isOld = ({ values }: Row) => outbox.settledAt(values) < before
  // Nothing is old nearly always; finding that out must not cost a walk through the queue.
  if (outbox.synced.size === 0 || outbox.oldestSynced() >= before) return
  const synced = [...outbox.synced]
    .sort((a, b) => (outbox.id(a) < outbox.id(b) ? -1 : 1))
    .filter((row) => !isBlocked(work.tx, row, 'U'))
  for (let round = 0, from = 0; round < ROUNDS; round++, from += PAGE) {
    const page = synced.slice(from, from + PAGE)
    const old = page.filter(isOld)
    for (const row of old) {
      set(work, outbox, row, {})
      outbox.table.delete(work.tx, row)
    }
    if (old.length < PAGE) return
  }
}
