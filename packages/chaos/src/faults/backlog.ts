import type { Fault } from '../fault.ts'
import { inPortal, insertNotes, notesLike } from '../ground/crowd.ts'
import { comes } from '../ground/patience.ts'

/** Above this a service's memory does not count as flat. Measured: about 150 MB when idle, run from source. Bytes. */
const MOST = 600 * 2 ** 20
const PATIENCE_MS = 15 * 60_000
const LOOK_MS = 500

/** A backlog of so many changes: nobody drains and nobody consumes while it grows. */
export const backlog = (count: number): Fault => ({
  name: 'backlog',
  about: `${count.toLocaleString('en')} changes pile up while the services are away; memory stays flat while they are worked off`,
  lastsMs: [0, 0],
  alone: true,
  finale: true,
  patienceMs: PATIENCE_MS,
  async inject(ground) {
    const { crew, say, troubles } = ground
    await Promise.all(crew.all.map(({ child }) => child.stop()))
    const started = performance.now()
    await insertNotes(ground, count, (n) => `backlog ${n}`)
    say(`     backlog: ${count} changes made in ${Math.round((performance.now() - started) / 1_000)} s`)
    return async () => {
      const peaks: Record<string, number> = {}
      const timer = setInterval(() => {
        void crew.memory().then((sizes) => {
          for (const [service, size] of Object.entries(sizes)) peaks[service] = Math.max(peaks[service] ?? 0, size)
        })
      }, LOOK_MS)
      const from = performance.now()
      await crew.everybodyUp()
      const keys = await notesLike(ground, 'backlog ')
      const done = await comes(async () => (await inPortal(ground, keys)) === keys.length, PATIENCE_MS, 1_000)
      clearInterval(timer)
      const seconds = (performance.now() - from) / 1_000
      const shown = Object.entries(peaks).map(([service, size]) => `${service} ${Math.round(size / 2 ** 20)} MB`)
      say(
        `     backlog: ${keys.length} arrived in ${seconds.toFixed(0)} s (${Math.round(keys.length / seconds)}/s); memory at most: ${shown.join(', ')}`,
      )
      if (!done)
        troubles.push(`after ${seconds.toFixed(0)} s ${await inPortal(ground, keys)} of ${keys.length} have arrived`)
      for (const [service, size] of Object.entries(peaks))
        if (size > MOST) troubles.push(`${service} took ${Math.round(size / 2 ** 20)} MB over a backlog of ${count}`)
    }
  },
})

export const BACKLOG_FAULTS: readonly Fault[] = [backlog(200_000)]
