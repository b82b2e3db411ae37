// sync.OpenTransactions and sync.AwaitTransaction: what a doorbell that rings before the commit depends on. Runs against the
// simulator, and SQLSERVER_URL when it is set.
import { openScriptConnection } from '@clinic-sync/clinic'
import t, { type Test } from 'tap'
import { openBench, type Session } from './bench.ts'

const bench = await openBench(t)
const { run } = bench
// There, a reader neither skips nor meets what others have not committed: nothing is ever open.
const skip = bench.babelfish && 'Babelfish ignores READPAST, and its readers wait for nobody'
const DOCTOR = "INSERT INTO dbo.AlignerDoctors (DoctorName) VALUES (N'x')"

t.beforeEach(() => bench.clear())

const open = async () =>
  (await run('EXEC sync.OpenTransactions')).map(({ SessionID, QueueID }) => ({
    session: Number(SessionID),
    queueId: String(QueueID),
  }))
const idOf = async (session: Session) => Number((await session.run('SELECT @@SPID AS id'))[0]?.id)

/** A session in a transaction that has put a row into the outbox. */
async function writer() {
  const session = await bench.session()
  await session.begin()
  await session.run(DOCTOR)
  return { session, id: await idOf(session) }
}

/** One wait, on a session of its own; `ended` resolves when it has returned. */
async function awaiting(t: Test, queueId: string, url = bench.url) {
  const connection = openScriptConnection(url)
  t.teardown(() => connection.close())
  await connection.batch('SELECT 1 AS x')
  let isOver = false
  const ended = connection.batch(`EXEC sync.AwaitTransaction @QueueID = ${queueId}`).then((rows) => {
    isOver = true
    return rows
  })
  return { ended, isOver: () => isOver }
}

t.test('an outbox row knows the session that has put it there', async (t) => {
  const session = await bench.session()
  await session.run(DOCTOR)
  t.strictSame(
    (await run('SELECT SessionID FROM dbo.SyncQueue')).map(({ SessionID }) => SessionID),
    [await idOf(session)],
  )
})

t.test('nothing is open in an empty outbox, nor in one whose rows are committed', async (t) => {
  t.strictSame(await open(), [])
  await run(DOCTOR)
  t.strictSame(await open(), [])
})

t.test('a wait that is asked to say that it still waits ends as any other', async (t) => {
  const connection = openScriptConnection(bench.url)
  t.teardown(() => connection.close())
  const [ended] = await connection.batch('EXEC sync.AwaitTransaction @QueueID = 9007199254740993, @BeatMs = 10000')
  t.equal(Number(ended?.Ended), 1)
  await t.rejects(connection.batch('EXEC sync.AwaitTransaction 1, 0'), { number: 51_200 } as unknown as Error)
})

t.test('it says so as long as the transaction is open', { skip }, async (t) => {
  const { session } = await writer()
  const [first] = await open()
  const messages: string[] = []
  const connection = openScriptConnection(bench.url, { onMessage: ({ message }) => messages.push(message) })
  t.teardown(() => connection.close())
  const waiting = connection.batch(`EXEC sync.AwaitTransaction @QueueID = ${first?.queueId}, @BeatMs = 50`)
  while (messages.length < 2) await new Promise((resolve) => setImmediate(resolve))
  t.match(messages[0], /AwaitTransaction.*still waiting/)
  await session.commit()
  t.equal(Number((await waiting)[0]?.Ended), 1)
})

t.test('each open transaction is one row, until it is committed or rolled back', { skip }, async (t) => {
  await run(DOCTOR)
  const [first, second] = [await writer(), await writer()]
  const both = await open()
  t.strictSame(
    both.map(({ session }) => session),
    [first.id, second.id],
    'the one that wrote first is first',
  )
  const waits = await Promise.all(both.map(({ queueId }) => awaiting(t, queueId)))
  await second.session.rollback()
  t.strictSame({ ...(await waits[1]?.ended)?.[0] }, { Ended: true })
  t.strictSame(
    (await open()).map(({ session }) => session),
    [first.id],
  )
  t.notOk(waits[0]?.isOver(), 'who waits for the other waits on')
  await first.session.commit()
  await waits[0]?.ended
  t.strictSame(await open(), [])
  t.equal(await bench.value('SELECT COUNT(*) FROM dbo.SyncQueue'), 2)
})

t.test(
  'a rollback to a savepoint ends the wait for what it undid, and later rows are open anew',
  { skip },
  async (t) => {
    const session = await bench.session()
    await session.begin()
    await session.run('SAVE TRANSACTION here')
    await session.run(DOCTOR)
    const [before] = await open()
    const wait = await awaiting(t, before?.queueId ?? '')
    await session.run('ROLLBACK TRANSACTION here')
    await wait.ended
    t.strictSame(await open(), [])
    await session.run(DOCTOR)
    const [after] = await open()
    t.equal(after?.session, before?.session)
    t.ok(BigInt(after?.queueId ?? 0) > BigInt(before?.queueId ?? 0))
    await session.commit()
    t.strictSame(await open(), [])
  },
)

t.test('10,000 rows of one transaction are one row of the answer, the lowest', { skip }, async (t) => {
  const session = await bench.session()
  await session.begin()
  const doctors = Array.from({ length: 1000 }, (_, i) => `(N'name ${i}')`).join(', ')
  for (let i = 0; i < 10; i++) await session.run(`INSERT INTO dbo.AlignerDoctors (DoctorName) VALUES ${doctors}`)
  const found = await open()
  const [lowest] = await session.run('SELECT MIN(QueueID) AS id, COUNT(*) AS n FROM dbo.SyncQueue')
  t.equal(Number(lowest?.n), 10_000)
  t.strictSame(found, [{ session: await idOf(session), queueId: String(lowest?.id) }])
  const wait = await awaiting(t, String(lowest?.id))
  await session.rollback()
  await wait.ended
})

t.test('a row that is committed, or gone, or never was, is not waited for', async (t) => {
  await run(DOCTOR)
  const committed = String(await bench.value('SELECT MAX(QueueID) FROM dbo.SyncQueue'))
  for (const queueId of [committed, '9223372036854775807', '-1']) {
    t.strictSame({ ...(await (await awaiting(t, queueId)).ended)[0] }, { Ended: true })
  }
  await bench.clear()
  await (
    await awaiting(t, committed)
  ).ended
})

t.test('many who wait for one transaction all hear of its end', { skip }, async (t) => {
  const { session } = await writer()
  const [row] = await open()
  const waits = await Promise.all(Array.from({ length: 20 }, () => awaiting(t, row?.queueId ?? '')))
  t.notOk(waits.some(({ isOver }) => isOver()))
  await session.commit()
  await Promise.all(waits.map(({ ended }) => ended))
})

t.test('a session that dies has ended its transaction', { skip }, async (t) => {
  const connection = openScriptConnection(bench.url)
  await connection.batch('BEGIN TRANSACTION')
  await connection.batch(DOCTOR)
  const [row] = await open()
  const wait = await awaiting(t, row?.queueId ?? '')
  t.notOk(wait.isOver())
  await connection.close()
  await wait.ended
  t.strictSame(await open(), [])
  t.equal(await bench.value('SELECT COUNT(*) FROM dbo.SyncQueue'), 0)
})

t.test("the session's own LOCK_TIMEOUT does not end the wait, and is as before afterwards", { skip }, async (t) => {
  const { session } = await writer()
  const [row] = await open()
  const waiter = await bench.session()
  await waiter.run('SET LOCK_TIMEOUT 1')
  const ended = waiter.run(`EXEC sync.AwaitTransaction @QueueID = ${row?.queueId}`)
  // Long after the timeout: every other answer has come by then.
  for (let i = 0; i < 20; i++) t.equal((await open()).length, 1)
  await session.commit()
  t.equal((await ended)[0]?.Ended, true)
  t.equal(Number((await waiter.run('SELECT @@LOCK_TIMEOUT AS ms'))[0]?.ms), 1)
})

t.test('without a row to wait for it is an error, and no transaction stays open', async (t) => {
  const session = await bench.session()
  await t.rejects(session.run('EXEC sync.AwaitTransaction @QueueID = NULL'), { number: 51_200 } as unknown as Error)
  t.equal(Number((await session.run('SELECT @@TRANCOUNT AS n'))[0]?.n), 0)
})

t.test('sync.OpenRows: what is on its way, and whether it is tried again', async (t) => {
  for (let i = 0; i < 4; i++) await run(DOCTOR)
  const ids = (await run('SELECT QueueID FROM dbo.SyncQueue ORDER BY QueueID')).map(({ QueueID }) => QueueID)
  await run(`UPDATE dbo.SyncQueue SET Status = 'Synced' WHERE QueueID = ${ids[0]}`)
  await run(`UPDATE dbo.SyncQueue SET Status = 'Queued', LastError = N'x' WHERE QueueID = ${ids[1]}`)
  await run(`UPDATE dbo.SyncQueue SET Status = 'Failed', LastError = N'x' WHERE QueueID = ${ids[2]}`)
  const rows = await run('EXEC sync.OpenRows')
  t.strictSame(
    rows.map((row) => ({ ...row })),
    [
      { QueueID: ids[1], Retrying: true },
      { QueueID: ids[3], Retrying: false },
    ],
  )
})
