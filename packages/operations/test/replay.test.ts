import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { eventQueue, UNROUTED } from '@clinic-sync/broker'
import { sendOutcomes } from './support/outcomes.ts'
import t from 'tap'
import { filtered, replay, select, standing } from '../src/index.ts'
import { event, note, yard } from './support/letters.ts'

const numbers = (n: number) => Array.from({ length: n }, (_, index) => index + 1)
const until = async (condition: () => boolean | Promise<boolean>) => {
  for (const deadline = Date.now() + 20_000; !(await condition());) {
    if (Date.now() > deadline) throw new Error('in vain')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

t.test('one goes alone, then 2, 5, 10 …: each once, under fresh headers, and the queue is empty', async (t) => {
  const { bury, consume, open, count } = await yard(t)
  await bury(numbers(60).map((key) => note(key, 5)))
  const { box, letters, ports } = await open()
  const applied: number[] = []
  const steps: number[] = []
  await consume((each) => {
    applied.push(each.data.key)
    return {}
  })
  const result = await replay(ports, letters, { onProgress: (done) => void steps.push(done) })
  t.match(result, { sent: 60, stopped: null, left: 0, unfit: [] })
  t.strictSame([...result.outcomes], [['applied', 60]])
  t.same(
    applied.toSorted((a, b) => a - b),
    numbers(60),
    'each once',
  )
  t.strictSame(applied.slice(0, 1), [1])
  for (const step of [1, 3, 8, 18, 38, 60])
    t.ok(steps.includes(step), `${step} were answered for before more were sent`)
  await box.close()
  t.equal(await count(), 0)
})

t.test('what is sent has lost every trace of its death, and counts the replay', async (t) => {
  const { bury, open, channel } = await yard(t)
  await bury([note(1, 5)], { routingKey: 'sql-to-postgres.moved-by-somebody' })
  const { box, letters, ports } = await open()
  const got: { key: string; headers: unknown; type: unknown; body: string }[] = []
  for (const partition of [0, 1, 2, 3]) {
    await channel.consume(eventQueue('sql-to-postgres', partition), (message) => {
      if (message === null) return
      const { fields, properties, content } = message
      got.push({ key: fields.routingKey, headers: properties.headers, type: properties.type, body: content.toString() })
    })
  }
  const replaying = replay(ports, letters, { silenceMs: 100 })
  await until(() => got.length === 1)
  t.strictSame(got[0]?.headers, {
    'sync-entity-key': 'aligner_notes/1',
    'sync-version': '5',
    'sync-attempt': 0,
    'sync-replays': 1,
  })
  t.match(got[0], { key: /^sql-to-postgres\.p\d$/, type: 'sync.row.upserted.v1', body: JSON.stringify(note(1, 5)) })
  t.match(await replaying, { sent: 1, stopped: { what: 'unanswered' } }, 'nobody has applied it')
  await box.close()
})

t.test('it stops at the first that fails again; what was not sent is where it was', async (t) => {
  for (const outcome of ['dead', 'retry'] as const) {
    const { bury, consume, open, count } = await yard(t)
    await bury(numbers(100).map((key) => note(key, 5)))
    const { box, letters, ports } = await open()
    await consume(({ data }) =>
      data.key === 12 ? { outcome, code: '22001', reason: 'aligner_notes.note_text is longer than 9 characters' } : {},
    )
    const result = await replay(ports, letters)
    // 1, 2, 5, 10: the fourth step has the twelfth in it.
    t.match(result, {
      sent: 18,
      left: 82,
      stopped: { what: outcome, code: '22001', reason: /longer/, letter: { about: { key: 12 } } },
    })
    t.equal(result.outcomes.get('applied'), 17)
    await box.close()
    await until(async () => (await count()) === (outcome === 'dead' ? 83 : 82))
  }
})

t.test('silence stops it, unless the outbox knows better', async (t) => {
  const statuses = new Map([['aligner_notes/1/5', { status: 'Synced' as const }]])
  const { bury, open } = await yard(t, statuses)
  await bury([note(1, 5), note(2, 5), note(3, 5)])
  const { letters, ports } = await open()
  const result = await replay(ports, letters, { silenceMs: 100 })
  t.match(result, { sent: 3, stopped: { what: 'unanswered', letter: { about: { key: 2 } } } })
})

t.test('whoever has gone is not waited for: a database that does not answer holds up no end', async (t) => {
  const { bury, open } = await yard(t)
  await bury([note(1, 5), note(2, 5)])
  const { letters, ports } = await open()
  const gone = new AbortController()
  let asked = 0
  const recordVersions = () => {
    asked++
    return new Promise<never>(() => undefined)
  }
  const sender = {
    replay: async (sent: Parameters<typeof ports.sender.replay>[0]) => {
      await ports.sender.replay(sent)
      gone.abort()
    },
  }
  const result = await replay({ ...ports, sender, recordVersions }, letters, { signal: gone.signal })
  t.match(result, { sent: 1, left: 1, stopped: null })
  t.equal(asked, 0)
})

t.test('parents go first, and an older version before a newer one', async (t) => {
  const { bury, consume, open } = await yard(t)
  const row = { x: 1 }
  await bury([note(7, 3), note(7, 4), event('work', 1, row), event('patients', 1, row)])
  const { letters, ports } = await open()
  const applied: string[] = []
  await consume(({ id }) => {
    applied.push(id)
    return {}
  })
  t.match(await replay(ports, letters), { sent: 4, stopped: null })
  t.strictSame(applied.slice(0, 2), ['clinic/patients/1/1', 'clinic/work/1/1'])
  t.equal(applied.at(-1), 'clinic/aligner_notes/7/4')
})

t.test('superseded ones are left, unless they are named; so are those that have arrived meanwhile', async (t) => {
  const statuses = new Map([
    ['aligner_notes/1/5', { supersededBy: '9' }],
    ['aligner_notes/2/5', { status: 'Synced' as const }],
    ['aligner_notes/3/5', { status: 'Failed' as const, reason: '23505: …' }],
  ])
  const { bury, open } = await yard(t, statuses)
  await bury([note(1, 5), note(2, 5), note(3, 5), note(4, 5, 'x', 'portal')])
  await bury([note(5, 5)], { code: '22001' })
  const { letters } = await open()
  const keys = (some: typeof letters) => some.map(({ letter }) => letter.about?.key).toSorted()
  t.strictSame(
    letters.toSorted((a, b) => (a.letter.about?.key ?? 0) - (b.letter.about?.key ?? 0)).map((each) => each.standing),
    ['superseded', 'settled', 'standing', 'standing', 'standing'],
  )
  t.strictSame(keys(standing(select(letters, { all: true }))), [3, 4, 5])
  t.strictSame(keys(select(letters, { ids: ['aligner_notes/1', 'portal/aligner_notes/4/5'] })), [1, 4])
  t.strictSame(keys(select(letters, { cause: '22001' })), [5])
  t.strictSame(keys(filtered(letters, { direction: 'postgres-to-sql' })), [4])
  t.strictSame(select(letters, {}), [])
  t.throws(() => select(letters, { ids: ['aligner_notes/99'] }), { code: 'SYNC_NO_SUCH_DEAD_LETTER' })
})

t.test('messages that are none of ours stay; outcomes go back to the ingress; unrouted ones are found', async (t) => {
  const { bury, open, channel, consume, count } = await yard(t)
  await bury([note(1, 5)], { routingKey: 'nowhere' })
  await sendOutcomes(channel, 'sql-to-postgres')
  channel.publish('sync.dead', 'sql-to-postgres.x', Buffer.from('no JSON'), { messageId: 'foreign' })
  await channel.waitForConfirms()
  await consume(() => ({}))
  t.equal(await count(UNROUTED), 1)
  const { box, letters, ports } = await open()
  t.equal(letters.length, 3)
  const result = await replay(ports, letters)
  t.match(result, {
    sent: 2,
    stopped: null,
    left: 0,
    unfit: [{ letter: { messageId: 'foreign' }, reason: 'not JSON' }],
  })
  await box.close()
  t.equal(await count(UNROUTED), 0)
  t.equal(await count(), 1)
  // The consumer's own report of the event, and the batch that was dead.
  await until(async () => (await count('sync.outcomes.sql-to-postgres')) === 2)
})

t.test('killed between the publish and the removal, it loses none and doubles none', async (t) => {
  const { bury, consume, open, count, url } = await yard(t)
  await bury(numbers(20).map((key) => note(key, 5)))
  const seen = new Map<number, number>()
  await consume(({ data }) => {
    seen.set(data.key, (seen.get(data.key) ?? 0) + 1)
    return {}
  })
  const child = fork(fileURLToPath(new URL('support/killed-replay.ts', import.meta.url)), [url], {
    execArgv: ['--import=tsx', '--conditions=@clinic-sync/source'],
  })
  const [, signal] = (await once(child, 'exit')) as [number | null, string | null]
  t.equal(signal, 'SIGKILL')
  await until(async () => (await count()) === 17)
  t.equal(seen.get(1), 1, 'the first step was answered for, and its letter removed')
  const { box, letters, ports } = await open()
  t.equal(letters.length, 17)
  t.match(await replay(ports, letters), { sent: 17, stopped: null })
  await box.close()
  t.equal(await count(), 0)
  t.strictSame(
    [...seen.keys()].toSorted((a, b) => a - b),
    numbers(20),
  )
})
