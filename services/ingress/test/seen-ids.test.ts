import t from 'tap'
import { SeenIds } from '../src/seen-ids.ts'

t.test('an id is new once, for at least its time, and forgotten within twice that', async (t) => {
  for (let start = 0; start <= 300; start += 10) {
    for (let later = 0; later <= 300; later += 10) {
      let now = 0
      const seen = new SeenIds({ forMs: 100, most: 1_000, clock: () => now })
      // Others come all the time.
      const pass = (until: number) => {
        for (; now < until; now += 10) seen.add(`other ${now}`)
      }
      pass(start)
      t.equal(seen.add('a'), true)
      pass(start + later)
      const again = seen.add('a')
      if (later < 100) t.equal(again, false, `${later} ms after ${start}`)
      if (later >= 200) t.equal(again, true, `${later} ms after ${start}`)
    }
  }
})

t.test('after a long silence nothing is kept', async (t) => {
  let now = 0
  const seen = new SeenIds({ forMs: 100, most: 10, clock: () => now })
  for (const id of ['a', 'b', 'c']) t.equal(seen.add(id), true)
  now = 200
  t.equal(seen.add('a'), true)
  t.equal(seen.size, 1)
})

t.test('the memory is bounded: the older half goes first', async (t) => {
  const seen = new SeenIds({ forMs: 100, most: 4, clock: () => 0 })
  for (const id of ['a', 'b', 'c', 'd', 'e']) t.equal(seen.add(id), true)
  t.ok(seen.size <= 4)
  for (const id of ['c', 'd', 'e']) t.equal(seen.add(id), false)
  t.equal(seen.add('a'), true)
})

t.test('a million ids pass through', async (t) => {
  let now = 0
  const seen = new SeenIds({ forMs: 1_000, most: 50_000, clock: () => now })
  for (let id = 0; id < 1_000_000; id++) {
    now = id / 100
    seen.add(String(id))
  }
  t.ok(seen.size <= 50_000)
})
