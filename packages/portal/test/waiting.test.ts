import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, Socket } from 'node:net'
import { startPostgres } from '@clinic-sync/dev-services'
import pg from 'pg'
import t, { type Test } from 'tap'
import { openPortal } from '../src/index.ts'
import { bench, event, failure, logged, note, parents } from './help.ts'
import { type Message, wireTo } from './wire.ts'

const db = await bench()
t.teardown(() => db.close())
await db.portal.applyChanges([...parents(), event('aligner_notes', 1, note(1))])
const doctor = await db.connect()
let texts = 0
const edit = () => doctor.query(`UPDATE public.aligner_notes SET note_text = '${++texts}' WHERE note_id = 1`)
const { signal } = new AbortController()
const DOWN = { failure: 'down', code: 'SYNC_DATABASE_DOWN' }

async function opened(t: Test, url = db.url) {
  const portal = await openPortal({ url, log: logged() })
  t.teardown(() => portal.close())
  return portal
}
/** Notifications that pg has handed on in this process. */
let notified = 0
const { emit } = pg.Client.prototype
pg.Client.prototype.emit = function (name: string, ...values: never[]) {
  if (name === 'notification') notified++
  return emit.call(this, name, ...values)
}

/** By way of a wire that is this test's own. */
async function wired(t: Test, pass?: (message: Message) => Buffer | null) {
  const wire = await wireTo(t, db.url, pass)
  return { wire, portal: await opened(t, wire.url) }
}
const until = async (condition: () => boolean) => {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve))
}
/** The doorbells' connections as the server sees them, oldest first. */
const sessions = () =>
  db.rows(`SELECT state, query FROM pg_stat_activity
    WHERE application_name = 'clinic-sync doorbell' AND datname = current_database() ORDER BY backend_start`)
const isPending = async (promise: Promise<unknown>) => {
  let settled = false
  const settle = () => void (settled = true)
  promise.then(settle, settle)
  await doctor.query('SELECT')
  await new Promise((resolve) => setImmediate(resolve))
  return !settled
}

t.test('the first wait connects, the next ones hear the edits, also those made in between', async (t) => {
  const portal = await opened(t)
  t.equal(await portal.waitForChanges(signal), 'connected')
  const waiting = portal.waitForChanges(signal)
  t.ok(await isPending(waiting))
  await edit()
  t.equal(await waiting, 'changed')
  const before = notified
  for (let edits = 0; edits < 3; edits++) await edit()
  await until(() => notified === before + 3)
  t.equal(await portal.waitForChanges(signal), 'changed', 'several are one ring')
  const next = portal.waitForChanges(signal)
  t.ok(await isPending(next))
  await edit()
  t.equal(await next, 'changed')
})

t.test('from the moment that it says connected, nothing goes unheard', async (t) => {
  for (let round = 0; round < 5; round++) {
    const portal = await opened(t)
    const connecting = portal.waitForChanges(signal)
    let stop = false
    const edits = (async () => {
      while (!stop) await edit()
    })()
    t.equal(await connecting, 'connected')
    stop = true
    await edits
    await edit()
    t.equal(await portal.waitForChanges(signal), 'changed')
    await portal.close()
  }
})

t.test('idle, nothing is asked: not a byte', async (t) => {
  const { wire, portal } = await wired(t)
  await portal.waitForChanges(signal)
  const before = wire.sent()
  for (let rings = 0; rings < 3; rings++) {
    const waiting = portal.waitForChanges(signal)
    await edit()
    t.equal(await waiting, 'changed')
  }
  const aborted = new AbortController()
  const waiting = t.rejects(portal.waitForChanges(aborted.signal))
  t.equal(wire.sent(), before)
  const doorbells = await sessions()
  t.equal(doorbells.at(-1)?.state, 'idle')
  t.match(doorbells.at(-1)?.query, /pg_backend_pid/, 'its last query is the one it connected with')
  aborted.abort()
  await waiting
})

t.test('a connection that is ended is told, and the next wait says that it is a new one', async (t) => {
  const portal = await opened(t)
  await portal.waitForChanges(signal)
  const end = () =>
    db.rows(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE application_name = 'clinic-sync doorbell' AND datname = current_database()`)
  const lost = failure(portal.waitForChanges(signal))
  await end()
  t.match(await lost, { ...DOWN, number: '57P01' })
  t.equal(await portal.waitForChanges(signal), 'connected')

  const { wire, portal: other } = await wired(t)
  await other.waitForChanges(signal)
  const cut = failure(other.waitForChanges(signal))
  wire.cut()
  t.match(await cut, DOWN)
  t.equal(await other.waitForChanges(signal), 'connected')
  wire.cut()
  // Lost while nobody waits: either is told, and neither waits for a ring that cannot come.
  const next = await other.waitForChanges(signal).catch((error: unknown) => error)
  if (next !== 'connected') t.match(next, DOWN)
})

t.test('a restart of the server', async (t) => {
  const server = await startPostgres({ durable: false, ways: ['embedded', 'private'] })
  t.teardown(() => server.stop())
  const own = await bench({ server: server.url })
  await own.portal.waitForChanges(signal)
  const lost = failure(own.portal.waitForChanges(signal))
  // It ends as in a crash, and commits nothing to the disk by itself.
  await own.rows('CHECKPOINT')
  await server.restart?.()
  t.match(await lost, DOWN)
  t.equal(await own.portal.waitForChanges(signal), 'connected')
  await own.close()
})

t.test('a half-open connection: the kernel asks after 10 s of silence, and an end does not wait for it', async (t) => {
  const asked: unknown[][] = []
  const { setKeepAlive } = Socket.prototype
  Socket.prototype.setKeepAlive = function (...values) {
    asked.push(values)
    return setKeepAlive.apply(this, values)
  }
  t.teardown(() => (Socket.prototype.setKeepAlive = setKeepAlive))
  const { wire, portal } = await wired(t)
  await portal.waitForChanges(signal)
  t.match(asked, [[true, 10_000]])
  if (process.platform === 'linux') {
    // Of this process' connections to the wire: timer 02 is keepalive's, and how long it has to go, in 1/100 s.
    const port = Number(new URL(wire.url).port).toString(16).toUpperCase().padStart(4, '0')
    const rows = (await readFile('/proc/self/net/tcp', 'utf8')).split('\n').map((line) => line.trim().split(/\s+/))
    const [row] = rows.filter(([, , remote, state]) => remote?.endsWith(`:${port}`) && state === '01')
    const [timer, left] = (row?.[5] ?? '').split(':')
    t.equal(timer, '02')
    t.ok(Number.parseInt(left ?? '', 16) <= 1000)
  }
  const controller = new AbortController()
  const waiting = portal.waitForChanges(controller.signal)
  wire.swallow()
  await edit()
  t.ok(await isPending(waiting))
  const reason = new Error('stop')
  controller.abort(reason)
  t.equal(await waiting.catch((error: unknown) => error), reason)
})

t.test('an abort ends the wait at any moment, with its reason; another may follow', async (t) => {
  const silent = createServer(() => undefined).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  t.teardown(() => silent.close())
  const { port } = silent.address() as { port: number }
  const nowhere = `postgres://a:hunter2@127.0.0.1:${port}/x`
  const moments = [(f: () => void) => f(), setImmediate, (f: () => void) => setTimeout(f, 20)]
  for (const moment of moments) {
    for (const where of ['connecting', 'connected', 'nowhere']) {
      const portal = await opened(t, where === 'nowhere' ? nowhere : db.url)
      const reason = new Error('stop')
      const controller = new AbortController()
      if (where === 'connected') await portal.waitForChanges(controller.signal)
      const waiting = portal.waitForChanges(controller.signal)
      moment(() => controller.abort(reason))
      const ended = await waiting.catch((error: unknown) => error)
      // A connection may be made before the abort comes.
      t.ok(ended === reason || (where === 'connecting' && ended === 'connected'))
      await portal.close()
    }
  }
  const portal = await opened(t)
  const controller = new AbortController()
  await portal.waitForChanges(controller.signal)
  const waiting = t.rejects(portal.waitForChanges(controller.signal))
  controller.abort()
  await waiting
  await t.rejects(portal.waitForChanges(controller.signal), { name: 'AbortError' })
  t.equal(await portal.waitForChanges(signal), 'connected')
})

t.test('close ends a wait, also one that is connecting, and no other begins', async (t) => {
  for (const connected of [true, false]) {
    const portal = await opened(t)
    if (connected) await portal.waitForChanges(signal)
    const waiting = failure(portal.waitForChanges(signal))
    await portal.close()
    t.match(await waiting, DOWN)
    t.match(await failure(portal.waitForChanges(signal)), DOWN)
  }
  while ((await sessions()).length > 0) await new Promise((resolve) => setImmediate(resolve))
  t.pass('its connections are gone')
})

t.test('a portal that is not migrated, or cannot be reached, is said to be so', async (t) => {
  const portal = await opened(t)
  await db.rows('ALTER SCHEMA sync RENAME TO elsewhere')
  t.match(await failure(portal.waitForChanges(signal)), { failure: 'down', code: 'SYNC_NOT_MIGRATED' })
  await db.rows('ALTER SCHEMA elsewhere RENAME TO sync')
  await db.rows('ALTER TABLE sync.queue DISABLE TRIGGER ring_listeners')
  t.match(await failure(portal.waitForChanges(signal)), { code: 'SYNC_NOT_MIGRATED', message: /05_portal_doorbells/ })
  await db.rows('ALTER TABLE sync.queue ENABLE TRIGGER ring_listeners')
  t.equal(await portal.waitForChanges(signal), 'connected')
  const nobody = await opened(t, 'postgres://a:hunter2@127.0.0.1:1/x')
  const error = await failure(nobody.waitForChanges(signal))
  t.match(error, DOWN)
  t.notMatch(String(error), 'hunter2')
})

/** A pooler tells a number of its own at the login. */
const otherNumber = (bytes: Buffer) => {
  const changed = Buffer.from(bytes)
  changed.writeInt32BE(7, 5)
  return changed
}

t.test("a pooler's session mode is heard; in transaction mode, where LISTEN says nothing, it is refused", async (t) => {
  const session = await wired(t, ({ type, bytes }) => (type === 'K' ? otherNumber(bytes) : bytes))
  t.equal(await session.portal.waitForChanges(signal), 'connected')
  await edit()
  t.equal(await session.portal.waitForChanges(signal), 'changed')

  // What PgBouncer does there: a notification finds no client on its connection.
  const transaction = await wired(t, ({ type, bytes }) =>
    type === 'A' ? null : type === 'K' ? otherNumber(bytes) : bytes,
  )
  t.match(await failure(transaction.portal.waitForChanges(signal)), {
    failure: 'down',
    code: 'SYNC_CONFIG',
    message: /POSTGRES_URL.*transaction mode.*port 5432/,
  })
})
