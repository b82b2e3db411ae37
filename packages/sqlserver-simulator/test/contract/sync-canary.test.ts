// The canary of `npm run sync -- trace` in the clinic: a record of the sync's own that goes the way of every other. Runs against the
// simulator, and SQLSERVER_URL when it is set.
import type { Row, SyncEvent } from '@clinic-sync/contracts'
import { CANARY, CANARY_KEY } from '@clinic-sync/mapping'
import { toEvent } from '@clinic-sync/sync'
import t from 'tap'
import { changeOf, openBench, records, settle } from './bench.ts'

const bench = await openBench(t)
const { run, value, clinic } = bench
let tokens = 0
const token = () => `token-${++tokens}`

t.beforeEach(() => bench.clear())

/** The portal's edit of its column, as its outbox would tell it. */
const edited = (version: number, row: Row, base: Row): SyncEvent =>
  toEvent('portal', {
    table: CANARY,
    key: CANARY_KEY,
    version: String(version),
    seen: '0',
    since: String(version),
    base,
    row,
    capturedAt: new Date().toISOString(),
  })

t.test('its row is there from the start, and nothing of its making is in the outbox', async (t) => {
  t.strictSame(await clinic.readCanary(null), { applied: '0', isHeld: false, row: null, newest: null })
  t.equal(await value('SELECT COUNT(*) FROM sync.Canary'), 1)
})

t.test('it is captured, taken and settled as any record', async (t) => {
  const sent = token()
  const { queueId, trigger } = await clinic.sendCanary(sent)
  if (!bench.babelfish) t.equal(trigger, 'enabled')
  t.match(queueId, /^\d+$/)
  t.strictSame(await bench.queue(), ['canary/1 UPDATE'])
  t.match(await clinic.readCanary(queueId), { row: { queueId, status: 'Pending', reason: null }, newest: { queueId } })

  const { changes } = await clinic.takeChanges(10)
  t.strictSame(records(changes), ['canary/1'])
  t.match(changeOf(changes, 'canary/1'), {
    version: queueId,
    row: { canary_id: 1, clinic_token: sent, portal_token: null },
  })
  await settle(clinic, changes, 'applied')
  t.match(await clinic.readCanary(queueId), { row: { status: 'Synced' } })
})

t.test('services of 1.0, which do not ask for it, are not given it; the others go on', async (t) => {
  await clinic.sendCanary(token())
  await bench.patient()
  const { doctor, work } = await bench.treatment().then(async (made) => {
    await bench.clear()
    return made
  })
  await clinic.sendCanary(token())
  await bench.set(work, doctor)
  const rows = await run('EXEC sync.TakeChanges @Max = 100')
  t.notOk(rows.some(({ TableName }) => TableName === CANARY))
  t.ok(rows.some(({ TableName }) => TableName === 'aligner_sets'))
  t.equal(await value(`SELECT Status FROM dbo.SyncQueue WHERE TableName = N'${CANARY}'`), 'Pending', 'it waits')
  t.ok((await clinic.takeChanges(100)).changes.some(({ table }) => table === CANARY))
})

t.test('the portal’s column comes back, and the clinic’s own trigger queues the ruling', async (t) => {
  const sent = token()
  const { queueId } = await clinic.sendCanary(sent)
  const row = { canary_id: 1, clinic_token: sent, portal_token: 'back-1' }
  const [outcome] = await clinic.applyChanges([edited(7, row, { portal_token: null })])
  t.match(outcome, { outcome: 'applied', version: '7' })
  t.equal(await value('SELECT PortalToken FROM sync.Canary'), 'back-1')
  const { applied, newest } = await clinic.readCanary(queueId)
  t.equal(applied, '7')
  t.ok(BigInt(newest?.queueId ?? 0) > BigInt(queueId ?? 0), 'the ruling has a row of its own')
  t.equal(await value('SELECT COUNT(*) FROM sync.Conflicts'), 0, 'one column is the clinic’s, one the portal’s')
  t.match(await clinic.applyChanges([edited(7, row, { portal_token: null })]), [{ outcome: 'duplicate' }])
})

t.test('a token that is there already changes nothing', async (t) => {
  const sent = token()
  await clinic.sendCanary(sent)
  t.equal((await clinic.sendCanary(sent)).queueId, null)
})

t.test('what is no token is refused', async (t) => {
  await t.rejects(clinic.sendCanary(''), { number: '51200' } as unknown as Error)
  await t.rejects(clinic.sendCanary('x'.repeat(41)), { number: '51200' } as unknown as Error)
  t.strictSame(await bench.queue(), [])
})

t.test('a trigger that is off, or gone, captures nothing, and that is said', async (t) => {
  await run('DISABLE TRIGGER sync.trg_sync_Canary ON sync.Canary')
  const { queueId, trigger } = await clinic.sendCanary(token())
  t.equal(queueId, null)
  t.equal(trigger, 'disabled')
  await run('ENABLE TRIGGER sync.trg_sync_Canary ON sync.Canary')
  t.match(await clinic.sendCanary(token()), { queueId: /^\d+$/, trigger: 'enabled' })
})

t.test('a row that is gone is made anew', async (t) => {
  await run('DELETE FROM sync.Canary')
  const { queueId } = await clinic.sendCanary(token())
  t.ok(queueId)
  t.strictSame(await bench.queue(), ['canary/1 DELETE', 'canary/1 INSERT'])
})

t.test('it is never backfilled', async (t) => {
  await t.rejects(clinic.backfillPage(CANARY, 10, true), { number: '51201' } as unknown as Error)
})

t.test('it can be read as any record, for a rehearsal of its dead letter', async (t) => {
  const [row] = await clinic.readRows(CANARY, null, 10)
  t.match(row, { key: CANARY_KEY, row: { canary_id: 1 } })
})
