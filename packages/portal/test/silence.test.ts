// Half-open connections: what is sent vanishes, nothing is reset, and TCP's keepalive goes on being answered.
import { openProxy } from '@clinic-sync/dev-services/proxy'
import type { Patience } from '@clinic-sync/sync'
import t, { type Test } from 'tap'
import { openPortal } from '../src/index.ts'
import { openPool } from '../src/pool.ts'
import { bench, event, failure, logged, note, parents } from './help.ts'
import { wireTo } from './wire.ts'

const db = await bench()
t.teardown(() => db.close())
await db.portal.applyChanges([...parents(), event('aligner_notes', 1, note(1))])
let texts = 0
const edit = () => db.rows(`UPDATE public.aligner_notes SET note_text = '${++texts}' WHERE note_id = 1`)
const { signal } = new AbortController()
const DOWN = { failure: 'down', code: 'SYNC_DATABASE_DOWN' }
const PATIENCE: Patience = { connectMs: 2_000, statementMs: 10_000, answerMs: 1_500, beatMs: 200 }

async function behindProxy(t: Test) {
  const { hostname, port } = new URL(db.url)
  const proxy = await openProxy(hostname, Number(port))
  t.teardown(() => proxy.close())
  const url = Object.assign(new URL(db.url), { host: `127.0.0.1:${proxy.port}` }).href
  return { proxy, url }
}
async function opened(t: Test, url: string, patience = PATIENCE) {
  const portal = await openPortal({ url, log: logged(), patience })
  t.teardown(() => portal.close())
  return portal
}
const took = async (promise: Promise<unknown>) => {
  const since = performance.now()
  await promise
  return performance.now() - since
}

t.test('a doorbell that has gone silent is told so, and heard again once the way is there', async (t) => {
  const { proxy, url } = await behindProxy(t)
  const portal = await opened(t, url)
  t.equal(await portal.waitForChanges(signal), 'connected')
  const waiting = failure(portal.waitForChanges(signal))
  proxy.vanish()
  await edit()
  t.ok((await took(waiting)) < 5_000)
  t.match(await waiting, DOWN)
  t.match(await failure(portal.waitForChanges(signal)), DOWN, 'and cannot be connected yet')
  proxy.resume()
  t.equal(await portal.waitForChanges(signal), 'connected', 'look into the outbox now')
  const next = portal.waitForChanges(signal)
  await edit()
  t.equal(await next, 'changed')
  t.equal(proxy.count() <= 2, true, 'the silent ones are closed')
})

t.test('a live one waits in peace: beats are no queries, and what they take is 5 bytes', async (t) => {
  const wire = await wireTo(t, db.url)
  const portal = await opened(t, wire.url, { ...PATIENCE, beatMs: 40 })
  await portal.waitForChanges(signal)
  const session = () =>
    db.rows(`SELECT query, query_start, xact_start, state FROM pg_stat_activity
      WHERE application_name = 'clinic-sync doorbell' AND datname = current_database() ORDER BY backend_start DESC LIMIT 1`)
  const [sent, before] = [wire.sent(), await session()]
  const waiting = portal.waitForChanges(signal)
  while (wire.sent() < sent + 10 * 5) await new Promise((resolve) => setTimeout(resolve, 5))
  t.equal((wire.sent() - sent) % 5, 0, 'a Sync is 5 bytes')
  t.strictSame(await session(), before)
  await edit()
  t.equal(await waiting, 'changed')
})

t.test('a statement without an answer is given up, and whatever idles beside it', async (t) => {
  const { proxy, url } = await behindProxy(t)
  const portal = await opened(t, url)
  await Promise.all([1, 2, 3, 4].map(() => portal.check()))
  t.ok(proxy.count() > 1, 'there are several connections')
  proxy.vanish()
  const silent = failure(portal.applyChanges([event('aligner_notes', 1, note(1))]))
  t.ok((await took(silent)) < 5_000)
  t.match(await silent, DOWN)
  proxy.resume()
  t.ok((await took(portal.check())) < PATIENCE.answerMs, 'no other has to find out for itself')
})

t.test('a slow server is no silent one: it ends the statement, and says so', async (t) => {
  const database = openPool(db.url, logged(), undefined, { ...PATIENCE, statementMs: 100, answerMs: 5_000 })
  t.match(await failure(database.query('SELECT pg_sleep(10)')), { failure: 'transient', number: '57014' })
  await database.close()
})

t.test('a close does not wait for those that are silent', async (t) => {
  const { proxy, url } = await behindProxy(t)
  const portal = await opened(t, url)
  await portal.check()
  await portal.waitForChanges(signal)
  proxy.vanish()
  t.ok((await took(portal.close())) < 3_000)
  while (proxy.count() > 0) await new Promise((resolve) => setImmediate(resolve))
  t.pass('and leaves none open')
})
