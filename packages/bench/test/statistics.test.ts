import t from 'tap'
import { percentile, spread } from '../src/statistics.ts'

t.test(
  'the median is the middle one, or between the two middle ones; the order of the rounds does not matter',
  async (t) => {
    t.strictSame(spread([7]), { n: 1, median: 7, min: 7, max: 7 })
    t.strictSame(spread([30, 1, 2]), { n: 3, median: 2, min: 1, max: 30 })
    t.strictSame(spread([10, 1, 4, 2]), { n: 4, median: 3, min: 1, max: 10 })
    // As text, 10 comes before 9.
    t.equal(spread([9, 10, 100]).median, 10)
    t.equal(spread([-3, 0, 3]).median, 0)
  },
)

t.test('what was measured is not changed', async (t) => {
  const values = [3, 1, 2]
  spread(values)
  percentile(values, 50)
  t.strictSame(values, [3, 1, 2])
})

t.test('nothing, or no number, has no median and no percentile', async (t) => {
  for (const values of [[], [1, Number.NaN], [Number.POSITIVE_INFINITY]]) {
    t.throws(() => spread(values), RangeError)
    t.throws(() => percentile(values, 50), RangeError)
  }
})

t.test('a percentile is the smallest value that so many do not exceed', async (t) => {
  const hundred = Array.from({ length: 100 }, (_, i) => 100 - i)
  t.equal(percentile(hundred, 50), 50)
  t.equal(percentile(hundred, 95), 95)
  t.equal(percentile(hundred, 99), 99)
  t.equal(percentile(hundred, 100), 100)
  t.equal(percentile(hundred, 0.5), 1)
  // The classic example of the nearest rank.
  t.strictSame(
    [5, 30, 40, 50, 100].map((percent) => percentile([15, 20, 35, 40, 50], percent)),
    [15, 20, 20, 35, 50],
  )
  // One slow change of fifty is the 99th percentile, and not the 95th.
  const one = [...Array.from({ length: 49 }, () => 2), 900]
  t.strictSame([percentile(one, 95), percentile(one, 99)], [2, 900])
  t.strictSame([percentile([4], 1), percentile([4], 99)], [4, 4])
  for (const percent of [0, -1, 101, Number.NaN]) t.throws(() => percentile([1], percent), RangeError)
})
