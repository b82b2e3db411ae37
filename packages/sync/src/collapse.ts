import type { SyncEvent } from '@clinic-sync/contracts'

export interface Collapsed<T> {
  /** One item a record: the one with the highest version. */
  readonly newest: readonly T[]
  /** The others: their records' newer state is applied instead. */
  readonly superseded: readonly T[]
}

/**
 * Keeps the newest event of each record. Events carry the full row, so older ones of the same record add nothing;
 * and a set-based apply needs each record once.
 */
export function collapse<T>(items: readonly T[], eventOf: (item: T) => SyncEvent): Collapsed<T> {
  const newest = new Map<string, T>()
  const superseded: T[] = []
  for (const item of items) {
    const { table, key, version } = eventOf(item).data
    const record = `${table}/${key}`
    const other = newest.get(record)
    if (other === undefined) newest.set(record, item)
    else if (BigInt(version) > BigInt(eventOf(other).data.version)) {
      superseded.push(other)
      newest.set(record, item)
    } else superseded.push(item)
  }
  return { newest: [...newest.values()], superseded }
}
