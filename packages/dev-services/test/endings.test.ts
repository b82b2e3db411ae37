/** However the process that started them ends, nothing of the services is left: no process, no file. */
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import t, { type Test } from 'tap'
import { until } from '../src/machine.ts'
import { descendants, guardianOf, hold, leftOver, ready, type Held } from './fixtures/held.ts'

t.setTimeout(400_000)
// They mostly wait for processes to start and end.
t.jobs = 3

const NOTHING = { pids: [], files: [] }
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGKILL'] as const

/** The holder's descendants, once it is ready. */
async function watched(t: Test, held: Held, atLeast: number): Promise<number[]> {
  await ready(held)
  const pids = await descendants(held.child.pid ?? 0)
  t.ok(pids.length >= atLeast, `${atLeast} processes or more are there before the end`)
  return pids
}

for (const [ending, code] of Object.entries({ return: 0, stop: 0, throw: 1, exit: 7 })) {
  t.test(`a process that refuses to go is gone after: ${ending}`, async (t) => {
    const held = await hold(t, 'stubborn', ending)
    const pids = await watched(t, held, 3)
    const ended = once(held.child, 'exit')
    held.child.stdin?.write('now\n')
    t.equal((await ended)[0], code, 'the ending is the one that was meant')
    t.strictSame(await leftOver(held.folder, pids, ending === 'stop' ? 0 : undefined), NOTHING)
  })
}

for (const signal of signals) {
  t.test(`a process that refuses to go is gone after: ${signal}`, async (t) => {
    const held = await hold(t, 'stubborn', 'wait')
    const pids = await watched(t, held, 3)
    const ended = once(held.child, 'exit')
    // To the whole group, as Ctrl-C and a closed terminal do.
    process.kill(-(held.child.pid ?? 0), signal)
    t.equal((await ended)[1], signal, 'the signal ended it')
    t.strictSame(await leftOver(held.folder, pids), NOTHING)
  })
}

t.test('SIGKILL to the guardian itself: the parent ends what it held', async (t) => {
  const held = await hold(t, 'stubborn', 'wait')
  await ready(held)
  const guardian = await guardianOf(held.child.pid ?? 0)
  const pids = [guardian, ...(await descendants(guardian))]
  process.kill(guardian, 'SIGKILL')
  t.strictSame(await leftOver(held.folder, pids), NOTHING)
  held.child.kill()
  await once(held.child, 'exit')
})

t.test('Postgres and RabbitMQ are gone after: SIGKILL', async (t) => {
  const held = await hold(t, 'services', 'wait')
  const pids = await watched(t, held, 8)
  process.kill(-(held.child.pid ?? 0), 'SIGKILL')
  t.strictSame(await leftOver(held.folder, pids), NOTHING)
})

t.test('SIGKILL while the services are starting', async (t) => {
  const held = await hold(t, 'services', 'wait')
  const pid = held.child.pid ?? 0
  await until(20_000, async () => {
    const folders = (await readdir(held.folder)).filter((name) => name.startsWith('clinic-sync-'))
    if (folders.length < 2) throw new Error('not begun yet')
  })
  const pids = await descendants(pid)
  process.kill(-pid, 'SIGKILL')
  t.strictSame(await leftOver(held.folder, pids), NOTHING)
})
