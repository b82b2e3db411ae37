import t from 'tap'
import { hearClinic } from '../src/clinic-doorbell.ts'
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
  const clinic = bell(['connected', 'changed', 'changed', 'lost', 'lost', 'lost', 'connected', 'changed'])
  const ring = (urgent: boolean) => void rings.push(urgent)
  const hearing = hearClinic({ clinic, ring, log, retry: { min: 1, max: 2 } }, stop.signal)
  await until('all is heard', () => rings.length === 5)
  t.same(rings, [true, false, false, true, false], 'a connection is urgent')
  stop.abort()
  await hearing
  t.same(
    lines.filter((line) => line.level > 20).map((line) => [line.level, line.msg]),
    [
      [40, "the clinic's doorbell is not heard: connecting again"],
      [30, "the clinic's doorbell is heard again"],
    ],
  )
})

t.test('stops while it waits for a retry', async () => {
  const stop = new AbortController()
  const { log, lines } = recordingLog()
  const retry = { min: 60_000, max: 60_000 }
  const hearing = hearClinic({ clinic: bell(['lost']), ring: () => undefined, log, retry }, stop.signal)
  await until('it is lost', () => lines.length > 0)
  stop.abort()
  await hearing
})
