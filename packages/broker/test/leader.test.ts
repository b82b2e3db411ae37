import type { LeaderAnswer, LeaderQuestion, Minute, Side } from '@clinic-sync/contracts'
import { SyncError } from '@clinic-sync/sync'
import t, { type Test } from 'tap'
import type { Lead, LeadTiming } from '../src/index.ts'
import { LEADER } from '../src/topology.ts'
import { keepLines, testBroker, until } from './support/helpers.ts'
import { proxyTo } from './support/proxy.ts'
import { testRabbit } from './support/rabbit.ts'

/** What happened to all candidates of a test, in order. */
type Story = string[]

interface Stood {
  readonly lead: Lead
  readonly rings: Side[]
  readonly minutes: Minute[]
  readonly kept: string[]
  readonly lines: ReturnType<typeof keepLines>['lines']
  asked: (question: LeaderQuestion) => Promise<LeaderAnswer>
  close(): Promise<void>
}

const WHO: LeaderAnswer = { leader: { host: 'here', pid: 1, since: '2026-01-01T00:00:00.000Z' } }

async function stand(t: Test, url: string, name: string, story: Story = [], timing: LeadTiming = {}): Promise<Stood> {
  const log = keepLines()
  const broker = await testBroker(t, url, { name, log })
  await broker.ready()
  const rings: Side[] = []
  const minutes: Minute[] = []
  const kept: string[] = []
  const stood = {
    rings,
    kept,
    minutes,
    lines: log.lines,
    asked: async (): Promise<LeaderAnswer> => WHO,
    lead: broker.standForLead(
      {
        gained: () => void story.push(`${name} gained`),
        lost: () => void story.push(`${name} lost`),
        standing: () => void story.push(`${name} standing`),
        rang: (side) => void rings.push(side),
        counted: (those) => void minutes.push(...those),
        kept: () => void kept.push(name),
        asked: (question): Promise<LeaderAnswer> => (stood as Stood).asked(question),
      },
      timing,
    ),
    close: () => broker.close(),
  }
  return stood
}

const rabbit = () => testRabbit(t)

t.test('one of three leads; when it goes another has the lead at once, and nothing is left behind', async (t) => {
  const { url, channel } = await rabbit()
  const story: Story = []
  const all = new Map<string, Stood>()
  for (const name of ['a', 'b', 'c']) {
    const stood = await stand(t, url, name, story)
    all.set(name, stood)
    await until(`${name} stands`, () => stood.lead.state === (name === 'a' ? 'leads' : 'standby'))
  }
  for (const [name, next] of [
    ['a', 'b'],
    ['b', 'c'],
  ] as const) {
    const from = performance.now()
    await all.get(name)?.close()
    await until(`${next} leads`, () => all.get(next)?.lead.leads === true)
    t.ok(performance.now() - from < 2_000, `${next} after ${Math.round(performance.now() - from)} ms`)
    t.equal(all.get(name)?.lead.leads, false)
  }
  t.same(
    story.filter((what) => /gained|lost/.test(what)),
    ['a gained', 'a lost', 'b gained', 'b lost', 'c gained'],
    'never two at a time',
  )
  await all.get('c')?.close()
  const { messageCount } = await channel.checkQueue(LEADER)
  t.equal(messageCount, 1, 'one token waits for the next')
  const d = await stand(t, url, 'd', story)
  await until('the next leads', () => d.lead.leads)
})

t.test('the token is renewed, again and again, and stays where it is', async (t) => {
  const { url } = await rabbit()
  const story: Story = []
  const a = await stand(t, url, 'a', story, { renewMs: 5 })
  await until('a leads', () => a.lead.leads)
  const b = await stand(t, url, 'b', story, { renewMs: 5 })
  await until('b stands by', () => b.lead.state === 'standby')
  const from = performance.now()
  await until('half a second of renewals is over', () => {
    if (!a.lead.leads || b.lead.leads) t.fail('the lead has moved')
    return performance.now() - from > 500
  })
  t.same(
    story.filter((what) => /gained|lost/.test(what)),
    ['a gained'],
  )
  await a.close()
  await until('b leads', () => b.lead.leads)
})

t.test('a lost connection is a lost lead, at once; it comes back as a standby', async (t) => {
  const { url } = await rabbit()
  const proxy = await proxyTo(t, url)
  const story: Story = []
  const a = await stand(t, proxy.url, 'a', story)
  await until('a leads', () => a.lead.leads)
  const b = await stand(t, url, 'b', story)
  await until('b stands by', () => b.lead.state === 'standby')
  proxy.refuse = true
  proxy.cut()
  await until('b leads', () => b.lead.leads)
  await until('a knows', () => a.lead.state === 'connecting')
  proxy.refuse = false
  await until('a stands by', () => a.lead.state === 'standby')
  t.same(story.filter((what) => /gained|lost/.test(what)).sort(), ['a gained', 'a lost', 'b gained'])
  t.same(story.filter((what) => what === 'a standing').length, 2)
})

t.test('a silent network: another leads, and who was cut off knows it too', async (t) => {
  const { url } = await rabbit()
  const proxy = await proxyTo(t, `${url}?heartbeat=1`)
  const a = await stand(t, proxy.url, 'a')
  await until('a leads', () => a.lead.leads)
  const b = await stand(t, url, 'b')
  await until('b stands by', () => b.lead.state === 'standby')
  const from = performance.now()
  proxy.silent = true
  await until('b leads', () => b.lead.leads)
  await until('a does not', () => !a.lead.leads)
  const ms = Math.round(performance.now() - from)
  t.ok(ms < 5_000, `${ms} ms with a heartbeat of a second`)
})

t.test('a process that stood still does not trust its lead, even before any event has told it', async (t) => {
  const { url } = await rabbit()
  const story: Story = []
  const a = await stand(t, `${url}?heartbeat=1`, 'a', story)
  await until('a leads', () => a.lead.leads)
  const until1300 = performance.now() + 1_300
  while (performance.now() < until1300);
  t.equal(a.lead.leads, false)
  await until('it leads again, since nobody else does', () => a.lead.leads)
  t.same(
    story.filter((what) => /gained|lost/.test(what)),
    ['a gained', 'a lost', 'a gained'],
  )
  t.match(
    a.lines.find(({ level }) => level === 'warn'),
    { fields: { reason: /stood still for 1\.\d s/ } },
  )
})

t.test('the token is taken away by hand, then the queue: there is a leader again', async (t) => {
  const { url, channel } = await rabbit()
  const story: Story = []
  const a = await stand(t, url, 'a', story)
  await until('a leads', () => a.lead.leads)
  const b = await stand(t, url, 'b', story)
  await until('b stands by', () => b.lead.state === 'standby')
  await channel.purgeQueue(LEADER)
  await a.close()
  await until('b leads: the token in hand came back', () => b.lead.leads)
  await channel.deleteQueue(LEADER)
  await until('it lost the lead', () => story.includes('b lost'))
  await until('b leads again', () => b.lead.leads)
  t.same(
    story.filter((what) => /^b (gained|lost)/.test(what)),
    ['b gained', 'b lost', 'b gained'],
  )
})

t.test('a ring of a standby reaches the leader, and nobody else; rings in a hurry share', async (t) => {
  const { url } = await rabbit()
  const a = await stand(t, url, 'a')
  await until('a leads', () => a.lead.leads)
  const b = await stand(t, url, 'b')
  const c = await stand(t, url, 'c')
  await until('they stand by', () => b.lead.state === 'standby' && c.lead.state === 'standby')
  await b.lead.ring('clinic')
  await c.lead.ring('portal')
  await until('both are heard', () => a.rings.length === 2)
  t.same(a.rings, ['clinic', 'portal'])
  await Promise.all(Array.from({ length: 500 }, () => b.lead.ring('clinic')))
  await b.lead.ring('portal')
  await until('the last is heard', () => a.rings.at(-1) === 'portal' && a.rings.length > 2)
  t.ok(a.rings.length <= 5, `${a.rings.length - 3} for 500`)
  t.same([b.rings, c.rings], [[], []])
})

t.test('what one has counted all others are told, the leader or not', async (t) => {
  const { url, channel } = await rabbit()
  const a = await stand(t, url, 'a')
  await until('a leads', () => a.lead.leads)
  const [b, c] = [await stand(t, url, 'b'), await stand(t, url, 'c')]
  await until('they stand by', () => b.lead.state === 'standby' && c.lead.state === 'standby')
  const minute: Minute = {
    at: '2026-01-31T08:00:00.000Z',
    direction: 'sql-to-postgres',
    changes: 3,
    medianMs: 12,
    worstMs: null,
  }
  await b.lead.tell([minute])
  await until('both are told', () => a.minutes.length + c.minutes.length === 2)
  t.same([a.minutes, b.minutes, c.minutes], [[minute], [], [minute]])
  // What a later version might say, and what is none of ours.
  for (const said of [{ minutes: [{ ...minute, changes: -1 }] }, { minutes: 1 }, {}])
    channel.publish('sync.rings', '', Buffer.from(JSON.stringify(said)), { type: 'sync.counted.v1' })
  channel.publish('sync.rings', '', Buffer.from('{}'), { type: 'sync.unheard-of.v1' })
  await c.lead.tell([minute])
  await until('the next is heard', () => a.minutes.length === 2)
  await b.lead.ring('clinic')
  await until('a ring is heard after all of it', () => a.rings.length === 1)
  t.equal(b.minutes.length, 1)
  t.equal(a.lines.filter(({ message }) => /is not understood/.test(message)).length, 4, 'the leader says so')
})

t.test('that a verification was kept all others are told, the leader or not', async (t) => {
  const { url } = await rabbit()
  const a = await stand(t, url, 'a')
  await until('a leads', () => a.lead.leads)
  const [b, c] = [await stand(t, url, 'b'), await stand(t, url, 'c')]
  await until('they stand by', () => b.lead.state === 'standby' && c.lead.state === 'standby')
  await b.lead.tellKept()
  await until('both are told', () => a.kept.length + c.kept.length === 2)
  t.same([a.kept, b.kept, c.kept], [['a'], [], ['c']])
  t.notOk(a.lines.some(({ message }) => /is not understood/.test(message)))
})

t.test('a question is answered by the leader, however long it takes; failures are told in its words', async (t) => {
  const { url } = await rabbit()
  const a = await stand(t, url, 'a', [], { patienceMs: 150 })
  await until('a leads', () => a.lead.leads)
  const b = await stand(t, url, 'b', [], { patienceMs: 150 })
  await until('b stands by', () => b.lead.state === 'standby')
  t.same(await b.lead.ask({ ask: 'who' }), WHO)
  a.asked = async ({ ask }) => {
    await new Promise((resolve) => setTimeout(resolve, 500))
    return ask === 'drain' ? { drained: { published: 3 } } : WHO
  }
  t.same(await b.lead.ask({ ask: 'drain', side: 'clinic' }), { drained: { published: 3 } })
  a.asked = () => Promise.reject(new SyncError('SYNC_DATABASE_DOWN', 'It cannot be reached.'))
  await t.rejects(b.lead.ask({ ask: 'drain', side: 'portal' }), {
    code: 'SYNC_DATABASE_DOWN',
    message: 'It cannot be reached.',
  })
  a.asked = () => Promise.reject(new Error('PLANTED'))
  await t.rejects(b.lead.ask({ ask: 'who' }), { code: 'SYNC_UNFORESEEN', message: /see the log/ })
  a.asked = () => new Promise(() => undefined)
  const asked = b.lead.ask({ ask: 'who' })
  asked.catch(() => undefined)
  await new Promise((resolve) => setTimeout(resolve, 300))
  await a.close()
  await t.rejects(asked, { code: 'SYNC_NO_LEADER', message: /has not answered/ })
})

t.test('where nobody leads, a question is answered by a sentence; a lost connection too', async (t) => {
  const { url } = await rabbit()
  const proxy = await proxyTo(t, url)
  const a = await stand(t, proxy.url, 'a', [], { patienceMs: 200 })
  await until('a leads', () => a.lead.leads)
  // It does not hear itself.
  await t.rejects(a.lead.ask({ ask: 'who' }), { code: 'SYNC_NO_LEADER', message: /none answered within 0.2 s/ })
  const asked = a.lead.ask({ ask: 'who' })
  proxy.refuse = true
  proxy.cut()
  await t.rejects(asked, { code: 'SYNC_BROKER_DOWN' })
  await t.rejects(a.lead.ring('clinic'), { code: 'SYNC_BROKER_DOWN' })
})

t.test('what is none of ours on the exchange of rings harms nobody', async (t) => {
  const { url, channel } = await rabbit()
  const a = await stand(t, url, 'a')
  await until('a leads', () => a.lead.leads)
  const types = ['sync.ring.v1', 'sync.question.v1', 'sync.answer.v1', undefined]
  for (const type of types) {
    for (const body of ['', '{', 'null', '{"side":"PLANTED"}', 'x'.repeat(100_000)]) {
      channel.publish('sync.rings', '', Buffer.from(body), {
        ...(type !== undefined && { type }),
        replyTo: 'nowhere',
        correlationId: 'x',
      })
    }
  }
  channel.publish('sync.rings', '', Buffer.from('{"side":"clinic"}'), { type: 'sync.ring.v1' })
  await until('the one that is ours is heard', () => a.rings.length === 1)
  t.equal(a.lead.leads, true)
  t.notMatch(JSON.stringify(a.lines), /PLANTED/)
})
