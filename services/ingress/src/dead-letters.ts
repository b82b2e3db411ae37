import type { Broker, KeepDeadLettersOptions } from '@clinic-sync/broker'
import { type Side, sourceOf } from '@clinic-sync/contracts'
import { tables } from '@clinic-sync/mapping'
import type { Operable } from '@clinic-sync/sync'

type VersionsOf = NonNullable<KeepDeadLettersOptions['versionsOf']>

/** Keeps the dead letters' headers true, until the broker is closed: see `Broker.keepDeadLetters`. */
export function keepDeadLetters(
  broker: Pick<Broker, 'keepDeadLetters'>,
  outboxes: Readonly<Record<Side, Pick<Operable, 'recordVersions'>>>,
): void {
  broker.keepDeadLetters({ versionsOf: versionsOf(outboxes) })
}

/** Asks the outbox where a direction's events come from. Of a table that nobody knows, nothing is superseded. */
export function versionsOf(outboxes: Readonly<Record<Side, Pick<Operable, 'recordVersions'>>>): VersionsOf {
  return async (direction, records) => {
    const known = records.flatMap(({ table: name, key, version }, index) => {
      const table = tables.find((each) => each.name === name)
      return table === undefined ? [] : [{ index, record: { table: table.name, key, version } }]
    })
    const answers = await outboxes[sourceOf(direction)].recordVersions(known.map(({ record }) => record))
    const by = new Map(known.map(({ index }, i) => [index, answers[i]?.supersededBy ?? null]))
    return records.map((_, index) => ({ supersededBy: by.get(index) ?? null }))
  }
}
