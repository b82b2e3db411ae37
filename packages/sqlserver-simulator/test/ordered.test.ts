// Rows in the order of their ids: against a plain sorted list, whatever comes and goes.
import t from 'tap'
import { Ordered } from '../src/engine/ordered.ts'
import { Row } from '../src/engine/row.ts'

const idOf = (row: Row) => row.values[0] as bigint
/** A linear congruential generator: the same runs every time. */
const numbers = (seed: number) => () => (seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648) / 2_147_483_648

t.test('holds what a sorted list would hold', async (t) => {
  const random = numbers(7)
  const ordered = new Ordered(idOf)
  const rows = Array.from({ length: 60 }, (_, i) => new Row([BigInt(i * 2)]))
  const held = new Set<Row>()
  for (let i = 0; i < 20_000; i++) {
    const row = rows[Math.floor(random() * rows.length)] as Row
    if (held.delete(row)) ordered.remove(row)
    else {
      held.add(row)
      ordered.add(row)
    }
    if (i % 7 > 0) continue
    const after = i % 14 === 0 ? null : BigInt(Math.floor(random() * 120))
    const expected = rows.filter((each) => held.has(each) && (after === null || idOf(each) > after)).map(idOf)
    const found = [...ordered.above(after)].map(idOf)
    if (found.join() !== expected.join()) t.strictSame(found, expected, `after ${after}, step ${i}`)
    if (ordered.size !== held.size) t.equal(ordered.size, held.size)
  }
})

t.test('whoever reads meets each row once, though rows leave and come meanwhile', async (t) => {
  const ordered = new Ordered(idOf)
  const rows = Array.from({ length: 10 }, (_, i) => new Row([BigInt(i)]))
  for (const row of rows) ordered.add(row)
  const met: bigint[] = []
  for (const row of ordered.above(2n)) {
    met.push(idOf(row))
    ordered.remove(row)
    ordered.remove(rows[0] as Row)
    ordered.add(rows[0] as Row)
  }
  t.strictSame(met, [3n, 4n, 5n, 6n, 7n, 8n, 9n])
  t.strictSame([...ordered.above(null)].map(idOf), [0n, 1n, 2n])
})

t.test('a look at a few of many costs no look at the others', async (t) => {
  const ordered = new Ordered(idOf)
  let asked = 0
  const counting = new Ordered((row) => {
    asked++
    return idOf(row)
  })
  for (let i = 0; i < 100_000; i++) {
    const row = new Row([BigInt(i)])
    ordered.add(row)
    counting.add(row)
  }
  asked = 0
  // As a drain does: 500 rows, from where the last look ended, and these leave.
  for (let after = -1n; after < 50_000n; after += 500n) {
    const page: Row[] = []
    for (const row of counting.above(after)) {
      page.push(row)
      if (page.length === 500) break
    }
    for (const row of page) counting.remove(row)
  }
  t.ok(asked <= 51_000, `${asked} ids were read to remove 50,500 rows`)
  t.equal(counting.size, ordered.size - 50_500)
})
