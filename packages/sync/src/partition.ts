import type { Key } from '@clinic-sync/contracts'

/** Partitions each way. Changing it needs new queue names: events of one record must stay in one queue. */
export const PARTITIONS = 4

/**
 * The partition of a record: 32-bit FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv/) of `table/key`, modulo
 * {@link PARTITIONS}. Stable across versions and machines, so that one record's events stay in order.
 */
export function partitionOf(table: string, key: Key): number {
  const text = `${table}/${key}`
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return (hash >>> 0) % PARTITIONS
}
