import type { Key, Value, Verification } from '@clinic-sync/contracts'
import { tableNamed } from '@clinic-sync/mapping'
import {
  dependentTables,
  type Found,
  type RepairPlan,
  type TablePlan,
  verified,
  type VerifyRepaired,
} from '@clinic-sync/operations'
import { tableLines } from '../status/table.ts'

/** Records that differ of which more than a number is told: on the screen, and with --json. Their number is exact in any case. */
export const SHOWN = 100
export const SHOWN_JSON = 1_000

/** A record that differs, as it is told. */
export interface ToldDifference {
  readonly table: string
  readonly key: Key
  readonly kind: Found['kind']
  readonly columns: readonly string[]
  readonly stuck: Found['stuck']
  /** With --show-values: the columns that differ, or all where one side lacks the record. */
  readonly values?: readonly { readonly column: string; readonly clinic: Value; readonly portal: Value }[]
}

export function told(found: Found, showValues: boolean): ToldDifference {
  const { table, key, kind, columns, stuck, clinic, portal } = found
  const names = columns.length > 0 ? columns : table.columns.map(({ name }) => name)
  return {
    table: table.name,
    key,
    kind,
    columns,
    stuck,
    ...(showValues && {
      values: names.map((column) => ({
        column,
        clinic: clinic?.[column] ?? null,
        portal: portal?.[column] ?? null,
      })),
    }),
  }
}

/** What was found, for people. @param differences the first of them */
export function verificationLines(verification: Verification, differences: readonly ToldDifference[]): string[] {
  const { tables, complete, inFlight } = verification
  const more = verification.differences - differences.length
  const stuck = tables.reduce((sum, table) => sum + table.stuck, 0)
  const kept = tables.reduce((sum, table) => sum + table.kept, 0)
  return [
    ...differences.flatMap(lineOf),
    ...(more > 0 ? [`… and ${number(more)} more.`] : []),
    ...(verification.differences > 0 ? [''] : []),
    ...tableLines(
      [
        ['TABLE', 'clinic', 'portal', 'differ', 'stuck', 'in flight'],
        ...tables.map((table) => [
          table.table,
          ...[table.clinicRows, table.portalRows, table.differences, table.stuck, table.inFlight].map(number),
        ]),
      ],
      [1, 2, 3, 4, 5],
    ),
    '',
    ...(kept > 0
      ? [
          `${number(kept)} ${of(kept)} only the portal still has are no difference: the clinic has deleted them, and the portal keeps such.`,
        ]
      : []),
    ...(stuck > 0
      ? [
          `Of ${number(stuck)} ${of(stuck)} differ a change has failed for good: \`npm run sync -- dead-letters list\` says why; of what was discarded, \`explain\`.`,
        ]
      : []),
    ...(inFlight > 0
      ? [`What is in flight is neither equal nor different: \`npm run sync -- status\` says what holds it up.`]
      : []),
    `${verified(verification)}${complete ? '' : ' Not all tables were compared: the status goes on telling of the last time that all were.'}`,
  ]
}

const of = (rows: number) => (rows === 1 ? 'record that' : 'records that')

function lineOf({ table, key, kind, columns, stuck, values }: ToldDifference): string[] {
  const what = {
    different: `differs: ${columns.join(', ')}`,
    missing: 'is missing in the portal',
    extra: 'is in the portal only',
  }[kind]
  const why =
    stuck === null ? '' : `; a change of the ${stuck.side}'s has failed (${stuck.cause || 'no reason is known'})`
  return [
    `${table}/${key} ${what}${why}`,
    ...(values ?? []).map(
      ({ column, clinic, portal }) =>
        `    ${column}: clinic ${JSON.stringify(clinic)}, portal ${JSON.stringify(portal)}`,
    ),
  ]
}

/** What a repair would do: figures and names. */
export const planLines = (plan: RepairPlan): string[] =>
  plan.tables.flatMap((table) => linesOf(table).map((line) => `${table.table}: ${line}`))

function linesOf(plan: TablePlan): string[] {
  const { fromClinic, missing, fromPortal, born, deleted, left } = plan
  const lines: string[] = []
  const lacking = missing === 0 ? '' : `; ${number(missing)} of them the portal lacks`
  if (fromClinic > 0)
    lines.push(`${number(fromClinic)} sent from the clinic to the portal${columnsOf(plan.clinicColumns)}${lacking}`)
  if (fromPortal > born)
    lines.push(`${number(fromPortal - born)} sent from the portal to the clinic${columnsOf(plan.portalColumns)}`)
  if (born > 0) lines.push(`${number(born)} of doctors that the clinic has never had, sent to it`)
  if (deleted > 0)
    lines.push(
      `${number(deleted)} that the clinic does not have, deleted in the portal${hasDependents(plan) ? ', with what belongs to them there' : ''}`,
    )
  if (left['portal-only'] > 0)
    lines.push(
      `${number(left['portal-only'])} left: only the portal has them, and the clinic deletes no such rows there`,
    )
  if (left.stuck > 0)
    lines.push(
      `${number(left.stuck)} left: a change has failed for good, which \`npm run sync -- dead-letters list\` explains, or was discarded`,
    )
  return lines.map((line) => `${line}.`)
}

const hasDependents = ({ table }: TablePlan) => dependentTables(tableNamed(table)).length > 0

function columnsOf(counts: ReadonlyMap<string, number>): string {
  if (counts.size === 0) return ''
  return ` (${[...counts].map(([name, rows]) => `${name} ${number(rows)}`).join(', ')})`
}

/** Of such a change there is no dead letter any more. */
const DISCARDED = 'an operator has discarded its change: `npm run sync -- explain` says how it is sent after all'

/** What came of a repair. */
export function repairedLines({ queued, sent, kept, equal, remaining }: VerifyRepaired): string[] {
  const WHY = {
    stuck: 'a change has failed for good: `npm run sync -- dead-letters show` says why',
    'portal-only': 'only the portal has it, and the clinic deletes no such rows there',
    late: 'still on its way: `npm run sync -- status` says what holds it up; run this again',
    different: 'has arrived, and is not equal: `npm run sync -- explain` tells its story',
  } as const
  return [
    `${number(queued)} queued in the clinic, ${number(sent)} sent by the portal, ${number(kept)} of the portal's rows put on record before (sync.lost_edits).`,
    ...remaining
      .slice(0, SHOWN)
      .map(
        ({ table, key, why, stuck }) =>
          `${table}/${key} remains: ${stuck?.cause === 'SYNC_DISCARDED' ? DISCARDED : WHY[why]}${stuck?.cause ? ` (${stuck.cause})` : ''}.`,
      ),
    ...(remaining.length > SHOWN ? [`… and ${number(remaining.length - SHOWN)} more.`] : []),
    remaining.length === 0
      ? `Repaired: all ${number(equal)} are equal now.`
      : `${number(equal)} are equal now, ${number(remaining.length)} ${remaining.length === 1 ? 'remains' : 'remain'}.`,
  ]
}

const number = (value: number): string => value.toLocaleString('en')
