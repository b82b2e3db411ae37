import t from 'tap'
import { hearDoorbell } from '../src/hear-doorbell.ts'
import { databaseDown } from './fake-outbox.ts'
import { recordingLog, until } from './help.ts'

/** A bell that plays a script, then waits until it is aborted. */
function bell(script: readonly ('connected' | 'changed' | 'lost')[]) {
  const left = [...script]
  return {
    async waitForChanges(signal: AbortSignal) {
      const next = left.shift()
      if (next === 'lost') throw databaseDown()
      if (next !== undefined) return next
      return new Promise<never>((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
      })
    },
  }
}

t.test('rings for every change and every connection, and comes back', async (t) => {
  const { log, lines } = recordingLog()
  const rings: boolean[] = []
  const stop = new AbortController()
  const heard: string[] = []
  const doorbell = bell(['connected', 'changed', 'changed', 'lost', 'lost', 'lost', 'connected', 'changed'])
  const ring = (urgent: boolean) => void rings.push(urgent)
  const onHeard = (error: unknown) => void heard.push(error === null ? 'ok' : 'lost')
  const retry = { min: 1, max: 2 }
  const hearing = hearDoorbell({ side: 'portal', doorbell, ring, onHeard, log, retry }, stop.signal)
  await until('all is heard', () => rings.length === 5)
  t.same(rings, [true, false, false, true, false], 'a connection is urgent')
  stop.abort()
  await hearing
  t.same(heard, ['ok', 'ok', 'ok', 'lost', 'lost', 'lost', 'ok', 'ok'], 'a stop is no loss')
  t.same(
    lines.filter((line) => line.level > 20).map((line) => [line.level, line.msg]),
    [
      [40, "the portal's doorbell is not heard: connecting again"],
      [30, "the portal's doorbell is heard again"],
    ],
  )
})

t.test('stops while it waits for a retry', async () => {
  const stop = new AbortController()
  const { log, lines } = recordingLog()
  const retry = { min: 60_000, max: 60_000 }
  const doorbell = bell(['lost'])
  const hearing = hearDoorbell({ side: 'clinic', doorbell, ring: () => undefined, log, retry }, stop.signal)
  await until('it is lost', () => lines.length > 0)
  stop.abort()
  await hearing
})
