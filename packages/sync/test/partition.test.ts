import { TABLE_NAMES } from '@clinic-sync/mapping'
import t from 'tap'
import { PARTITIONS, partitionOf } from '../src/index.ts'

// Computed by another implementation of FNV-1a. A different value here would send one record's events to two queues.
const KNOWN = [
  ['patients', 1, 3],
  ['patients', 2, 2],
  ['work', 1, 0],
  ['aligner_sets', 7, 1],
  ['aligner_batches', 123, 1],
  ['aligner_notes', -1, 2],
  ['aligner_notes', 2147483647, 0],
  ['aligner_doctors', -2147483648, 3],
  ['aligner_set_payments', 0, 3],
] as const

t.test('a record stays in its partition for ever', async (t) => {
  t.equal(PARTITIONS, 4)
  for (const [table, key, partition] of KNOWN) t.equal(partitionOf(table, key), partition, `${table}/${key}`)
})

t.test('records spread over all partitions', async (t) => {
  const records = 4000
  for (const table of TABLE_NAMES) {
    const counts = Array.from({ length: PARTITIONS }, () => 0)
    for (let key = 1; key <= records; key++) {
      const partition = partitionOf(table, key)
      counts[partition] = (counts[partition] ?? 0) + 1
    }
    const [least, most] = [Math.min(...counts), Math.max(...counts)]
    t.ok(least > records / PARTITIONS / 2 && most < (records / PARTITIONS) * 2, `${table}: ${counts}`)
  }
})
