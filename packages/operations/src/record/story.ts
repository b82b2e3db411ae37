import type { Key } from '@clinic-sync/contracts'
import { syncsBack, type TableName, tableNamed } from '@clinic-sync/mapping'
import { ADVICE, type LoggedRuling, type RuledValues } from '@clinic-sync/sync'
import { columnStories, type ColumnStory } from './columns.ts'
import type { RecordFacts } from './gather.ts'
import { journey, queuesSaid } from './journey.ts'
import { lettersSaid, rulingsSaid } from './past.ts'
import { placesOf } from './places.ts'
import { isEqual, type Verdict, verdictOf } from './verdict.ts'
import { repair, type Way, wayOf } from './ways.ts'
import { listed, plural, sentence } from './words.ts'

/** A heading and its sentences: keys, names, numbers; no value. */
export interface StorySection {
  readonly heading: string
  readonly sentences: readonly string[]
}

/** One record's story. The first section is for everybody; the further down, the more it is for engineers. */
export interface RecordStory {
  readonly table: TableName
  readonly key: Key
  /** ISO 8601, UTC. */
  readonly at: string
  readonly verdict: Verdict
  /** Whether both sides have what they should; null: that is not known, or there never was such a record. */
  readonly equal: boolean | null
  /** What becomes of its changes: the worst of both directions; null: of a direction it is not known, and of the other nothing is on its way. */
  readonly outlook: Way['state'] | null
  readonly sections: readonly StorySection[]
  /** Every column, in the table's order, where at least one side's row is known. The only place where values are, if they were asked for. */
  readonly columns: readonly ColumnStory[]
  /** The latest first, of both sides; `values`, if they were asked for. */
  readonly rulings: readonly (LoggedRuling & { readonly values?: RuledValues['values'] })[]
  /** Who could not be asked. */
  readonly unasked: readonly ('clinic' | 'portal' | 'RabbitMQ' | 'ingress')[]
}

/** Puts a record's facts into words. Pure. */
export function storyOf(facts: RecordFacts, showValues: boolean): RecordStory {
  const { table, key, at, clinic, portal, queues, ingress } = facts
  const rows = { clinic: clinic.reachable ? clinic.row : null, portal: portal.reachable ? portal.row : null }
  const columns = columnStories(tableNamed(table), rows.clinic, rows.portal, showValues)
  const verdict = verdictOf(facts, columns)
  const ways = [wayOf(facts, 'sql-to-postgres'), wayOf(facts, 'postgres-to-sql')].filter((way) => way !== null)
  const outlook = outlookOf(ways)
  const sections = [
    { heading: 'In short', sentences: [...inShort(verdict, columns), outlookSaid(verdict, outlook)] },
    { heading: 'Where it is', sentences: placesOf(facts) },
    { heading: 'Columns', sentences: columnsSaid(columns) },
    { heading: 'What happens next', sentences: nextOf(verdict, ways) },
    { heading: 'What to do', sentences: todoOf(facts, verdict, ways) },
    { heading: 'Clinic to portal', sentences: journey(facts, 'sql-to-postgres') },
    { heading: 'Portal to clinic', sentences: syncsBack(tableNamed(table)) ? journey(facts, 'postgres-to-sql') : [] },
    { heading: 'Queues', sentences: queuesSaid(facts) },
    { heading: 'Dead letters', sentences: lettersSaid(facts) },
    { heading: 'Rulings', sentences: rulingsSaid(facts) },
    { heading: 'Not asked', sentences: notAsked(facts) },
  ]
  return {
    table,
    key,
    at,
    verdict,
    equal: isEqual(verdict),
    outlook,
    sections: sections.filter(({ sentences }) => sentences.length > 0),
    columns,
    rulings: [clinic, portal]
      .flatMap((side) => (side.reachable ? side.history.rulings : []))
      .sort((a, b) => (a.at < b.at ? 1 : -1)),
    unasked: [
      ...(clinic.reachable ? [] : (['clinic'] as const)),
      ...(portal.reachable ? [] : (['portal'] as const)),
      ...(queues.reachable ? [] : (['RabbitMQ'] as const)),
      ...(ingress.reachable ? [] : (['ingress'] as const)),
    ],
  }
}

const VERDICTS: Readonly<Record<Exclude<Verdict, 'apart'>, string>> = {
  same: 'It is the same in the clinic and in the portal.',
  'clinic-only': 'The clinic has it, and the portal does not.',
  'portal-only': 'The portal has it, and the clinic does not.',
  kept: 'Only the portal has it, and it keeps it: records of this table are never removed there.',
  unsynced: 'It is in the clinic only, as it should be.',
  gone: 'Neither side has it any more.',
  never: 'Neither side has such a record, and neither remembers one: look at the table and the key.',
  unknown: 'Whether it is the same in both cannot be told now.',
}

function inShort(verdict: Verdict, columns: readonly ColumnStory[]): string[] {
  if (verdict !== 'apart') return [VERDICTS[verdict]]
  const names = columns.filter(({ equal }) => equal === false).map(({ column }) => column)
  return [
    `It is not the same in the clinic and in the portal: ${listed(names)} ${names.length === 1 ? 'differs' : 'differ'}.`,
  ]
}

const outlookOf = (ways: readonly Way[]): RecordStory['outlook'] =>
  (['failed', 'held', 'moving'] as const).find((state) => ways.some((way) => way.state === state)) ??
  (ways.length < 2 ? null : 'none')

/** What becomes of it, for who wants to know no more. */
function outlookSaid(verdict: Verdict, outlook: RecordStory['outlook']): string {
  switch (outlook) {
    case 'failed':
      return 'A change of it could not be brought to the other side, and somebody has to look at it.'
    case 'held':
      return 'A change of it is on its way, and held up.'
    case 'moving':
      return 'A change of it is on its way, and arrives by itself.'
    case 'none':
      return isEqual(verdict) === false
        ? 'Nothing is on its way: it stays so until it is repaired.'
        : 'Nothing of it is on its way.'
    case null:
      return 'Whether something is on its way is not known of both sides.'
  }
}

function columnsSaid(columns: readonly ColumnStory[]): string[] {
  if (columns.every(({ equal }) => equal === null)) return []
  const said = columns.flatMap(({ column, clinicColumn, whose, equal, how }) =>
    how === null
      ? []
      : [`${column} (${clinicColumn} in the clinic; ${whose}): ${equal === true ? 'equal: ' : ''}${how}.`],
  )
  const equal = columns.filter((each) => each.equal === true).length
  return [
    ...said,
    equal === columns.length
      ? `All ${equal} columns are equal.`
      : `The other ${plural(equal, 'column')} ${equal === 1 ? 'is' : 'are'} equal.`,
  ]
}

function nextOf(verdict: Verdict, ways: readonly Way[]): string[] {
  const said = ways.flatMap(({ direction, next }) =>
    next.map((each, i) =>
      i === 0
        ? `${direction === 'sql-to-postgres' ? "The clinic's change" : "The doctor's edit"}: ${lower(each)}`
        : each,
    ),
  )
  if (said.length > 0) {
    const stays = isEqual(verdict) === true && ways.every(({ state }) => state === 'none' || state === 'failed')
    return stays ? [...said, 'Both sides are equal all the same.'] : said
  }
  if (isEqual(verdict) === false)
    return [
      'Nothing by itself: the sides differ, and no change is under way. One of them was changed where the sync does not see it, such as with triggers switched off.',
    ]
  return isEqual(verdict) === true && ways.length === 2 ? ['Nothing: there is nothing to do.'] : []
}

/** In the middle of a sentence. */
const lower = (text: string) =>
  /^(It|Nothing|Nobody|Its|A|No|Whether)\b/.test(text) ? text.charAt(0).toLowerCase() + text.slice(1) : text

function todoOf({ table, clinic, portal }: RecordFacts, verdict: Verdict, ways: readonly Way[]): string[] {
  const down = !clinic.reachable || !portal.reachable ? [ADVICE.SYNC_DATABASE_DOWN] : []
  const said = [...down, ...ways.flatMap(({ todo }) => todo)]
  if (isEqual(verdict) !== false || ways.some(({ state }) => state !== 'none')) return said
  return [...said, repair(table)]
}

function notAsked({ clinic, portal, queues, ingress }: RecordFacts): string[] {
  const parts = [
    ["The clinic's database", clinic],
    ["The portal's database", portal],
    ['RabbitMQ', queues],
    ['The ingress', ingress],
  ] as const
  return parts.flatMap(([name, part]) => (part.reachable ? [] : [`${name}: ${sentence(part.reason)}`]))
}
