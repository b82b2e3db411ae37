import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { openPortal } from '../src/index.ts'
import { bench, event, failure, logged, migrations, patient } from './help.ts'
import { runMigration } from './support/migrate.ts'

const db = await bench({ migrated: false })
t.teardown(() => db.close())
const { portal } = db
const change = (key: number) => [event('patients', key, patient(key))]

t.test('a database without schema sync says so, and how to get it', async (t) => {
  const error = { failure: 'down', code: 'SYNC_NOT_MIGRATED', advice: /npm run sync -- migrate/ }
  t.match(await failure(portal.check()), error)
  t.match(await failure(portal.applyChanges(change(1))), error)
  t.match(await failure(portal.takeChanges(10)), error)
})

t.test('a portal that lacks a table, a column or a trigger is told which', async (t) => {
  await runMigration(db.url, ...(await migrations()))
  await portal.check()
  await db.rows('ALTER TABLE public.aligner_doctors RENAME TO aligner_doctors_old')
  t.match(await failure(portal.check()), {
    code: 'SYNC_NOT_MIGRATED',
    message: 'the portal lacks table public.aligner_doctors (00_portal_tables.sql makes it)',
  })
  await db.rows('ALTER TABLE public.aligner_doctors_old RENAME TO aligner_doctors')
  await portal.check()
  await db.rows('ALTER TABLE public.aligner_batches RENAME batch_expiry_date TO next_batch_ready_date')
  t.match(await failure(portal.check()), {
    message: 'the portal lacks column public.aligner_batches.batch_expiry_date',
  })
  await db.rows('ALTER TABLE public.aligner_batches RENAME next_batch_ready_date TO batch_expiry_date')
  await portal.check()
  for (const bell of ['ring_listeners', 'ring_webhook']) {
    await db.rows(`DROP TRIGGER ${bell} ON sync.queue`)
    t.match(await failure(portal.check()), {
      code: 'SYNC_NOT_MIGRATED',
      message: new RegExp(`sync.queue lacks ${bell} `),
    })
    await runMigration(db.url, ...(await migrations()))
    await portal.check()
  }
  await db.rows('ALTER TABLE public.aligner_notes DISABLE TRIGGER "00_sync_capture_update"')
  t.match(await failure(portal.check()), {
    code: 'SYNC_NOT_MIGRATED',
    message: /^the portal does not capture edits of aligner_notes/,
  })
  await db.rows('ALTER TABLE public.aligner_notes ENABLE TRIGGER "00_sync_capture_update"')
  await portal.check()
})

t.test('nobody answers, nobody listens, no such database: down', async (t) => {
  const silent = createServer((socket) => socket.destroy())
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  t.teardown(() => silent.close())
  const { port } = silent.address() as AddressInfo
  const missing = new URL(db.url)
  missing.pathname = '/no_such_database'
  for (const url of [`postgres://a:hunter2@127.0.0.1:${port}/x`, 'postgres://a:hunter2@127.0.0.1:1/x', missing.href]) {
    const other = await openPortal({ url, log: logged() })
    const error = await other.applyChanges(change(1)).catch((error: unknown) => error)
    t.match(error, { failure: 'down', code: 'SYNC_DATABASE_DOWN' })
    t.notMatch(String(error), 'hunter2')
    await other.close()
  }
})

t.test('a login that is refused: still down, and the advice is user and password', async (t) => {
  const url = Object.assign(new URL(db.url), { password: 'hunter2' }).href
  const other = await openPortal({ url, log: logged() })
  t.match(await failure(other.check()), {
    failure: 'down',
    code: 'SYNC_LOGIN_REFUSED',
    number: '28P01',
    advice: /user and password/,
  })
  await other.close()
})

t.test('connections that are cut come back with the next call', async (t) => {
  t.match(await portal.applyChanges(change(2)), [{ outcome: 'applied' }])
  await db.rows(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE application_name = 'clinic-sync' AND datname = current_database()`)
  for (let tries = 0; ; tries++) {
    try {
      t.match(await portal.applyChanges(change(3)), [{ outcome: 'applied' }])
      break
    } catch (error) {
      t.match(error, { failure: 'down' })
      if (tries > 20) throw error
    }
  }
})

t.test('a refused row costs no connection: a new one would take 20 ms for each of thousands', async (t) => {
  const sessions = () =>
    db.rows(
      `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'clinic-sync' ORDER BY pid`,
    )
  await portal.check()
  const before = await sessions()
  for (let i = 0; i < 5; i++)
    await t.rejects(portal.applyChanges([event('patients', 77, patient(77, { phone: '7'.repeat(300) }))]))
  t.same(await sessions(), before)
})

t.test('a read-only database is down, and nothing in the work is to blame', async (t) => {
  const [row] = await db.rows('SELECT current_database() AS name')
  await db.rows(`ALTER DATABASE ${row?.name} SET default_transaction_read_only = on`)
  const other = await openPortal({ url: db.url, log: logged() })
  t.match(await failure(other.check()), { failure: 'down', number: '25006' })
  t.match(await failure(other.applyChanges(change(4))), { failure: 'down', number: '25006' })
  await other.close()
})

t.test('a server that is gone is down', async (t) => {
  await portal.close()
  t.match(await failure(portal.applyChanges(change(5))), { failure: 'down' })
})
