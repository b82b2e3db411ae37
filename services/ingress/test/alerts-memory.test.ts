import t from 'tap'
import { Recollection } from '../src/alerts/memory.ts'
import { recordingLog } from './help.ts'

const NOTHING = { told: [], waiting: [] }

t.test('of several texts the last is written, and the end waits for it', async (t) => {
  const written: string[] = []
  let go = () => {}
  const first = new Promise<void>((resolve) => (go = resolve))
  const write = async (text: string) => {
    if (written.length === 0) setImmediate(go)
    await first
    written.push(text)
  }
  const memory = new Recollection({ read: async () => null, write }, recordingLog().log)
  const told = (quietMs: number) => ({ ...NOTHING, told: [{ quietMs } as never] })
  for (const quietMs of [1, 2, 3]) memory.keep(told(quietMs))
  await memory.close()
  t.match(
    written.map((text) => JSON.parse(text) as object),
    [{ told: [{ quietMs: 1 }] }, { told: [{ quietMs: 3 }] }],
  )
})

t.test('the end does not wait for a RabbitMQ that is silent', async (t) => {
  const silent = { read: async () => null, write: () => new Promise<void>(() => undefined) }
  const memory = new Recollection(silent, recordingLog().log)
  memory.keep(NOTHING)
  const began = performance.now()
  await memory.close()
  t.ok(performance.now() - began < 4_000)
})

t.test('what cannot be understood, or is its own, is nothing', async (t) => {
  let kept: string | null = null
  const store = { read: async () => kept, write: async (text: string) => void (kept = text) }
  const memory = new Recollection(store, recordingLog().log)
  for (const text of [
    '',
    'x',
    'null',
    '{}',
    '{"format":2,"told":[],"waiting":[]}',
    '{"format":1,"told":1,"waiting":[]}',
  ]) {
    kept = text
    t.equal(await memory.load(), null, text)
  }
  memory.keep(NOTHING)
  await memory.close()
  t.equal(await memory.load(), null, 'its own')
  t.match(await new Recollection(store, recordingLog().log).load(), NOTHING, "another's")
})
