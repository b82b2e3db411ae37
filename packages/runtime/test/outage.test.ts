import { DatabaseError } from '@clinic-sync/sync'
import t from 'tap'
import { untilUp } from '../src/index.ts'

const down = () => new DatabaseError('down', 'connection refused')
const isOutage = (error: unknown) => error instanceof DatabaseError

t.test('waits until it is up, and speaks once when it is down and once when it is back', async (t) => {
  const said: string[] = []
  let left = 3
  const up = await untilUp(
    async () => {
      if (left-- > 0) throw down()
    },
    {
      signal: new AbortController().signal,
      isOutage,
      onDown: (error) => said.push(error.message),
      onBack: () => said.push('back'),
    },
  )
  t.equal(up, true)
  t.strictSame(said, ['connection refused', 'back'])
})

t.test('throws on what is no outage, and ends at once when aborted', async (t) => {
  const silent = { isOutage, onDown: () => undefined, onBack: () => undefined }
  const wrong = () => Promise.reject(new RangeError('no'))
  await t.rejects(untilUp(wrong, { ...silent, signal: new AbortController().signal }), { message: 'no' })
  const stop = new AbortController()
  const waiting = untilUp(() => Promise.reject(down()), { ...silent, signal: stop.signal, onDown: () => stop.abort() })
  t.equal(await waiting, false)
})
