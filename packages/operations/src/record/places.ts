import { type Side } from '@clinic-sync/contracts'
import { type Table, tableNamed } from '@clinic-sync/mapping'
import type { RecordFacts, SideFacts } from './gather.ts'
import { ago, sentence } from './words.ts'

/** Where the record is: a side at a time. */
export const placesOf = (facts: RecordFacts): string[] =>
  (['clinic', 'portal'] as const).flatMap((side) => {
    const found = facts[side]
    return found.reachable ? placeOf(facts, side, found) : [`${name(side)} cannot be asked: ${sentence(found.reason)}`]
  })

const name = (side: Side) => `The ${side}`

function placeOf(facts: RecordFacts, side: Side, { history, locked, row }: SideFacts): string[] {
  const { table, key, at, clinic } = facts
  const mapped = tableNamed(table)
  const clinicHasIt = clinic.reachable && clinic.history.presence === 'synced'
  if (locked)
    return [
      'Somebody’s open transaction in the clinic holds it: what is in it cannot be read before that transaction ends.',
    ]
  if (row !== null)
    return [
      side === 'clinic'
        ? `The clinic has it (dbo.${mapped.clinic}, ${mapped.key.clinic} ${key}).`
        : 'The portal has it.',
    ]
  if (history.presence === 'unsynced')
    return [`The clinic has it, and it is not to be in the portal: ${outOfScope(mapped)}`]
  const deleted = history.outbox.find(({ operation }) => operation === 'DELETE')
  const missing = `${name(side)} does not have it`
  if (deleted !== undefined)
    return [
      `${missing}: deleted ${ago(deleted.capturedAt, at)}${deleted.uncommitted ? ', in a transaction that is still open' : ''}.`,
    ]
  if (side === 'portal' && history.applied !== '0')
    return [`${missing}, ${clinicHasIt ? 'though' : 'and'} it has had the clinic's version ${history.applied} of it.`]
  return [`${missing}.`]
}

/** Why the mapping leaves a record of the clinic's out. */
function outOfScope(table: Table): string {
  const { scope } = table
  if (scope.kind === 'except')
    return `its ${scope.column} is the one that the mapping leaves out, since the portal has no counterpart for it.`
  if (scope.kind === 'all') return 'the mapping leaves it out.'
  const by = tableNamed(scope.by)
  const last = lastOf(by)
  const through = last === by ? '' : `, through ${by.name}`
  return `records of ${table.name} enter it once a record of ${last.name} refers to them${through}, and none does.`
}

const lastOf = (table: Table): Table => (table.scope.kind === 'referenced' ? lastOf(tableNamed(table.scope.by)) : table)
