// The canary of `npm run sync -- trace` in the portal: a record of the sync's own that goes the way of every other.
import { toEvent } from '@clinic-sync/sync'
import t from 'tap'
import { bench, migrations, nextVersion } from './help.ts'
import { runMigration } from './support/migrate.ts'

const db = await bench()
t.teardown(() => db.close())
const { portal } = db
const owner = await db.connect()
let tokens = 0
const token = () => `token-${++tokens}`

const fromClinic = (row: { clinic_token: string | null; portal_token: string | null }, seen = '0') =>
  toEvent('clinic', {
    table: 'canary',
    key: 1,
    version: String(nextVersion()),
    seen,
    since: null,
    base: null,
    row: { canary_id: 1, ...row },
    capturedAt: new Date().toISOString(),
  })

t.test('its row is there from the start, and nothing of its making is in the outbox', async (t) => {
  t.strictSame(await portal.readCanary(null), { applied: '0', isHeld: false, row: null, newest: null })
  t.strictSame(
    (await db.rows('SELECT canary_id FROM sync.canary')).map((row) => ({ ...row })),
    [{ canary_id: '1' }],
  )
  t.strictSame(await db.rows('SELECT * FROM sync.queue'), [])
  await runMigration(db.url, ...(await migrations()))
  t.strictSame(await db.rows('SELECT * FROM sync.queue'), [], 'nor when the migrations run once more')
})

t.test('it goes there and back as any record does', async (t) => {
  const [first, second] = [token(), token()]
  const event = fromClinic({ clinic_token: first, portal_token: null })
  t.match(await portal.applyChanges([event]), [{ outcome: 'applied' }])
  t.equal((await portal.readCanary(null)).applied, event.data.version)
  t.strictSame(await db.rows('SELECT * FROM sync.queue'), [], 'what the sync writes is not captured')

  const { queueId, trigger } = await portal.sendCanary(second)
  t.equal(trigger, 'enabled')
  t.match(await portal.readCanary(queueId), { row: { queueId, status: 'Pending', reason: null } })
  const { changes } = await portal.takeChanges(10)
  t.match(changes, [
    {
      table: 'canary',
      version: queueId,
      base: { portal_token: null },
      row: { clinic_token: first, portal_token: second },
    },
  ])
  await portal.settleChanges([{ table: 'canary', key: 1, version: queueId ?? '', outcome: 'applied' }])
  t.match(await portal.readCanary(queueId), { row: { status: 'Synced' } })

  // The ruling: the clinic's row again, which has seen the edit.
  const ruling = fromClinic({ clinic_token: first, portal_token: second }, queueId ?? '')
  t.match(await portal.applyChanges([ruling]), [{ outcome: 'unchanged' }])
  const [state] = await db.rows("SELECT since FROM sync.row_state WHERE table_name = 'canary'")
  t.equal(state?.since, null)
  t.strictSame(await db.rows('SELECT * FROM sync.lost_edits'), [])
})

t.test('a token that is there already changes nothing; what is none is refused', async (t) => {
  const sent = token()
  await portal.sendCanary(sent)
  t.match(await portal.sendCanary(sent), { queueId: null, trigger: 'enabled' })
  await t.rejects(portal.sendCanary(''), { number: '22023' } as unknown as Error)
  await t.rejects(portal.sendCanary('x'.repeat(41)), { number: '22023' } as unknown as Error)
})

t.test('a trigger that is off, on for replicas only, or gone captures nothing, and that is said', async (t) => {
  const name = '"00_sync_capture_update"'
  for (const [statement, state] of [
    [`ALTER TABLE sync.canary DISABLE TRIGGER ${name}`, 'disabled'],
    [`ALTER TABLE sync.canary ENABLE REPLICA TRIGGER ${name}`, 'disabled'],
    [`DROP TRIGGER ${name} ON sync.canary`, 'missing'],
  ] as const) {
    await owner.query(statement)
    t.strictSame(await portal.sendCanary(token()), { queueId: null, trigger: state })
  }
  await runMigration(db.url, ...(await migrations()))
  t.match(await portal.sendCanary(token()), { queueId: /^\d+$/, trigger: 'enabled' })
})

t.test('a row that is gone is made anew', async (t) => {
  await owner.query('DELETE FROM sync.canary')
  t.ok((await portal.sendCanary(token())).queueId)
  t.equal((await db.rows('SELECT * FROM sync.canary')).length, 1)
})

t.test('no role of an API reaches it', async (t) => {
  for (const role of ['anon', 'authenticated'])
    await owner.query(
      `DO $$ BEGIN CREATE ROLE ${role} NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$`,
    )
  await owner.query('GRANT ALL ON sync.canary TO anon, authenticated')
  const files = (await migrations()).filter(({ name }) => name.startsWith('02_'))
  await runMigration(db.url, ...files)
  const [rights] = await db.rows(
    "SELECT has_table_privilege('anon', 'sync.canary', 'SELECT, INSERT, UPDATE') AS anon, has_table_privilege('authenticated', 'sync.canary', 'SELECT') AS authenticated",
  )
  t.strictSame({ ...rights }, { anon: 'f', authenticated: 'f' })
})
