import t from 'tap'
import { Backoff, backoffMs } from '../src/index.ts'

const delays = { min: 100, max: 1_000 }
const near = (ms: number, expected: number) => ms >= expected * 0.8 && ms <= expected * 1.2

t.test('pauses double from the shortest to the longest, with jitter', async (t) => {
  for (const [attempt, expected] of [100, 200, 400, 800, 1_000, 1_000].entries()) {
    t.ok(near(backoffMs(attempt, delays), expected), `attempt ${attempt}`)
  }
  t.ok(near(backoffMs(1e9, delays), 1_000), 'an outage of any length')
  t.ok(near(backoffMs(0), 100), 'from 0.1 s by default')
  t.ok(near(backoffMs(50), 30_000), 'to 30 s')
})

t.test('a success starts over', async (t) => {
  const backoff = new Backoff(delays)
  t.ok(near(backoff.next(), 100))
  t.ok(near(backoff.next(), 200))
  backoff.reset()
  t.ok(near(backoff.next(), 100))
})
