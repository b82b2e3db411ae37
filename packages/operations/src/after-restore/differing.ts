import type { Table } from '@clinic-sync/mapping'
import type { Readable } from '../rows.ts'
import { patiently } from '../verify/patiently.ts'
import { scan, type Unequal } from '../verify/scan.ts'

export type Differing = Unequal

/** Somebody's transaction that holds a row is waited for so long. Milliseconds. */
const PATIENCE_MS = 30_000

/** The records of a table that differ, in key order, as they are read: nobody works on them meanwhile. @throws DatabaseError */
export async function* differing(clinic: Readable, portal: Readable, table: Table): AsyncGenerator<Differing, void> {
  for await (const { unequal } of scan(clinic, portal, table, patiently(PATIENCE_MS))) yield* unequal
}
