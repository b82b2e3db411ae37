import type { Key, Row } from '@clinic-sync/contracts'
import type { Readable } from '@clinic-sync/demo'
import { tables } from '@clinic-sync/mapping'
import { recordOf } from '../people/ledger.ts'

const PAGE = 1_000

/** Every synced row of a side, by record. */
export async function finalRows(side: Readable): Promise<Map<string, Row>> {
  const rows = new Map<string, Row>()
  for (const { name: table } of tables) {
    let after: Key | null = null
    for (;;) {
      const page: Awaited<ReturnType<Readable['readRows']>> = await side.readRows(table, after, PAGE)
      for (const { key, row } of page) rows.set(recordOf({ table, key }), row)
      const last = page.at(-1)
      if (last === undefined) break
      after = last.key
    }
  }
  return rows
}
