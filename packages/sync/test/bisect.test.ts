import t from 'tap'
import { bisect } from '../src/index.ts'

const never = () => false

/** Every way in which up to eight items can be good or bad. */
t.test('exactly the bad items fail, each with its own error, in order', async (t) => {
  for (let n = 0; n <= 8; n++) {
    const items = Array.from({ length: n }, (_, i) => i)
    for (let bad = 0; bad < 1 << n; bad++) {
      const isBad = (item: number) => (bad & (1 << item)) !== 0
      const applied: number[] = []
      const apply = async (batch: readonly number[]) => {
        const first = batch.find(isBad)
        if (first !== undefined) throw new Error(`item ${first}`)
        applied.push(...batch)
        return batch.map((item) => item * 10)
      }
      const results = await bisect(items, apply, never)
      const got = results.map((r) => (r.ok ? r.value : (r.error as Error).message))
      const wanted = items.map((item) => (isBad(item) ? `item ${item}` : item * 10))
      if (JSON.stringify(got) !== JSON.stringify(wanted)) t.same(got, wanted, `n=${n} bad=${bad}`)
      const good = items.filter((item) => !isBad(item))
      if (JSON.stringify(applied) !== JSON.stringify(good))
        t.same(applied, good, `n=${n} bad=${bad}: each good one once`)
    }
  }
})

t.test('one bad item among 200 costs few batches', async (t) => {
  let batches = 0
  const apply = async (batch: readonly number[]) => {
    batches++
    if (batch.includes(137)) throw new Error('bad')
    return batch
  }
  const results = await bisect(
    Array.from({ length: 200 }, (_, i) => i),
    apply,
    never,
  )
  t.equal(results.filter((r) => !r.ok).length, 1)
  t.ok(batches <= 2 * Math.ceil(Math.log2(200)) + 1, `${batches} batches`)
})

t.test('nothing is split for an error that no smaller batch cures', async (t) => {
  let batches = 0
  const down = new Error('down')
  const apply = async () => {
    batches++
    throw down
  }
  await t.rejects(
    bisect([1, 2, 3], apply, (error) => error === down),
    down,
  )
  t.equal(batches, 1)
})

t.test('an empty batch is not sent', async (t) => {
  t.same(await bisect([], async () => t.fail('called') as never, never), [])
})
