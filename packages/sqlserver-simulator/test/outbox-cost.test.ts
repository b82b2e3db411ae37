// What a change costs does not grow with the outbox, the rows before it that are settled, or the other records.
import t from 'tap'
import { openDatabase } from '../src/schema/open.ts'
import { enqueue } from '../src/sync/capture.ts'
import { Session } from '../src/engine/session.ts'
import { Index } from '../src/engine/table-index.ts'
import type { Work } from '../src/engine/work.ts'

/** How many rows the index on the records gave, for one page taken and settled in an outbox of so many rows. */
async function touched(rows: number): Promise<number> {
  const db = openDatabase('clinic')
  const session = new Session(db, 'sa')
  const run = async (name: string, args: readonly unknown[]) => {
    const work: Work = { db, tx: session.newTransaction(), session, identities: new Map(), calls: [] }
    const results = await db.procedure('sync', name)?.run(work, args as never, AbortSignal.timeout(60_000))
    work.tx.commit()
    return results ?? []
  }
  const work: Work = { db, tx: session.newTransaction(), session, identities: new Map(), calls: [] }
  const changes = Array.from(
    { length: rows },
    (_, i) => ({ table: 'aligner_notes', key: i + 1, operation: 'DELETE' }) as const,
  )
  enqueue(work, changes)
  work.tx.commit()

  let found = 0
  const at = Reflect.get(Index.prototype, 'at') as Index['at']
  Reflect.set(Index.prototype, 'at', function (this: Index, key: Parameters<Index['at']>[0]) {
    const result = at.call(this, key)
    found += result.length
    return result
  })
  try {
    const [page] = await run('TakeChanges', [100, null])
    const outcomes = page?.rows.map(([table, key, version]) => ({ table, key, version, outcome: 'queued' })) ?? []
    t.equal(outcomes.length, 100)
    await run('SettleChanges', [JSON.stringify(outcomes)])
    await run('SettleChanges', [JSON.stringify(outcomes.map((each) => ({ ...each, outcome: 'applied' })))])
    const [, totals] = await run('TakeChanges', [100, null])
    t.strictSame(totals?.rows[0]?.slice(0, 2), [100, 0])
  } finally {
    Reflect.set(Index.prototype, 'at', at)
  }
  return found
}

t.test('a page of 100 in an outbox of 40,000 rows touches what it touches in one of 400', async (t) => {
  t.equal(await touched(40_000), await touched(400))
})
