import type { SyncStatus } from '@clinic-sync/contracts'
import type { StatusSources } from '@clinic-sync/operations'
import sensible from '@fastify/sensible'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { limitSources } from '../src/limits.ts'
import { options } from '../src/app.ts'
import { statusRoutes } from '../src/routes/status.ts'
import { StatusBoard } from '../src/status/board.ts'
import { Changes } from '../src/status/changes.ts'
import { until } from './help.ts'

const TOKEN = 'operator-token-0123456789'
const headers = { authorization: `Bearer ${TOKEN}` }
const outbox = {
  now: '2026-01-31T08:00:00.000Z',
  rows: { Pending: 0, Queued: 0, Synced: 0, Failed: 0 },
  oldestPending: null,
  oldestQueued: null,
  retrying: 0,
  failed: [],
  last: null,
}

/** A board over sources that count how often they are asked. */
async function start(t: Test, { paceMs = 20, afterMs = 300, heartbeatMs = 15_000 } = {}) {
  const changes = new Changes()
  const asked = { clinic: 0 }
  const watching: AbortSignal[] = []
  let gate: Promise<void> = Promise.resolve()
  const sources: StatusSources = {
    clinic: {
      async outboxStatus() {
        asked.clinic++
        await gate
        return { ...outbox, rows: { ...outbox.rows, Pending: asked.clinic } }
      },
    },
    portal: { outboxStatus: async () => outbox },
    queueDepths: async () => [],
    deadLetters: async () => [],
    verification: async () => ({ reachable: true, last: null, running: null }),
    ingress: async () => {
      const bell = { doorbell: 'listen', heard: true, reason: null, lastRang: changes.lastRang('portal') }
      const startedAt = new Date().toISOString()
      return {
        reachable: true,
        lead: 'leads',
        leader: null,
        startedAt,
        doorbells: { clinic: bell, portal: bell },
        lacks: [],
      }
    },
  }
  const board = new StatusBoard({
    sources,
    listen: (listener) => changes.listen(listener),
    elsewhere: async (signal) => void watching.push(signal),
    paceMs,
    afterMs,
  })
  const app = Fastify({ ...options })
  await app.register(sensible)
  await limitSources(app)
  await app.register(statusRoutes, { prefix: '/api/sync', board, token: TOKEN, heartbeatMs })
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => app.close())

  /** Reads the stream; `seen` grows with each status. */
  async function follow() {
    const end = new AbortController()
    const response = await fetch(`${url}/api/sync/status/stream`, { headers, signal: end.signal })
    const seen: SyncStatus[] = []
    const said: string[] = []
    let rest = ''
    const over = (async () => {
      for await (const chunk of response.body ?? []) {
        const parts = (rest + Buffer.from(chunk).toString()).split('\n\n')
        rest = parts.pop() ?? ''
        for (const part of parts) {
          const [, data] = /^event: status\ndata: (.*)$/.exec(part) ?? []
          if (data === undefined) said.push(part)
          else seen.push(JSON.parse(data) as SyncStatus)
        }
      }
    })().catch(() => undefined)
    return { response, seen, said, over, end: () => end.abort() }
  }
  return { app, url, board, changes, asked, watching, follow, hold: (until: Promise<void>) => (gate = until) }
}

t.test('a status is for the operator only', async (t) => {
  const { app } = await start(t)
  for (const url of ['/api/sync/status', '/api/sync/status/stream']) {
    t.equal((await app.inject({ url })).statusCode, 401)
    t.equal((await app.inject({ url, headers: { 'x-sync-secret': 'wrong' } })).statusCode, 401)
    t.match(await app.inject({ url, method: 'POST', headers }), { statusCode: 405 })
  }
  const answer = await app.inject({ url: '/api/sync/status', headers })
  t.equal(answer.statusCode, 200)
  t.match(answer.json(), {
    ok: false,
    outboxes: { clinic: { reachable: true, rows: { Pending: 1 } } },
    queues: { reachable: false },
  })
  t.equal(answer.headers['cache-control'], 'no-store')
})

t.test('many who ask at a time are one question, and none is told what was before it asked', async (t) => {
  const { board, asked, hold } = await start(t)
  let open = () => {}
  hold(new Promise((resolve) => (open = resolve)))
  const first = board.read()
  const others = [board.read(), board.read(), board.read()]
  open()
  await first
  const told = await Promise.all(others)
  t.equal(asked.clinic, 2)
  t.match(told[0], { outboxes: { clinic: { rows: { Pending: 2 } } } })
})

t.test('a stream tells at once, and then what changes; while nothing does, nobody is asked', async (t) => {
  const { follow, changes, asked } = await start(t)
  const stream = await follow()
  t.match(stream.response.headers.get('content-type'), /^text\/event-stream/)
  await until('the first', () => stream.seen.length === 1)
  await new Promise((resolve) => setTimeout(resolve, 500))
  t.equal(asked.clinic, 1)
  changes.observerBeside(undefined).rang?.('portal', 'listen')
  // At once, and once more a little later, when what it brought about has arrived.
  await until('the ring, and what followed', () => stream.seen.length === 3)
  t.type(stream.seen[1]?.ingress.reachable && stream.seen[1].ingress.doorbells.portal.lastRang, 'string')
  await new Promise((resolve) => setTimeout(resolve, 500))
  t.equal(asked.clinic, 3)
})

t.test('a thousand changes are told at the pace set, the last one included', async (t) => {
  const { follow, changes, asked } = await start(t, { paceMs: 200, afterMs: 250 })
  const stream = await follow()
  await until('the first', () => stream.seen.length === 1)
  const until_ = Date.now() + 1_000
  while (Date.now() < until_) {
    for (let i = 0; i < 20; i++) changes.changed()
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  const during = asked.clinic
  t.ok(during >= 2 && during <= 7, `asked ${during} times`)
  await until('the last', () => asked.clinic > during)
})

t.test('a stream ends with its reader, and with the service; watching ends with the last', async (t) => {
  const { app, follow, watching, changes, asked, url } = await start(t, { heartbeatMs: 20 })
  const [one, two] = [await follow(), await follow()]
  await until('heartbeats', () => one.said.length > 1)
  t.equal(one.said[0], ': here')
  t.equal(watching.length, 1)
  one.end()
  await one.over
  t.notOk(watching[0]?.aborted)
  two.end()
  await until('nobody watches', () => watching[0]?.aborted === true)
  const before = asked.clinic
  changes.changed()
  await new Promise((resolve) => setTimeout(resolve, 200))
  t.equal(asked.clinic, before)
  const last = await follow()
  await until('it is told', () => last.seen.length === 1)
  t.equal(watching.length, 2)
  await app.close()
  await last.over
  t.ok(watching[1]?.aborted)
  await t.rejects(fetch(url))
})

t.test('other observers are told too', async (t) => {
  const told: unknown[] = []
  const changes = new Changes()
  let changed = 0
  changes.listen(() => changed++)
  const observer = changes.observerBeside({
    rang: (...all) => told.push(all),
    drained: (...all) => told.push(all),
    leads: (...all) => told.push(all),
    published: () => told.push('published'),
  })
  observer.rang?.('clinic', 'http')
  observer.drained?.('clinic', 1)
  observer.leads?.(true)
  observer.published?.([])
  t.strictSame(told, [['clinic', 'http'], ['clinic', 1], [true], 'published'])
  t.equal(changed, 3)
})
