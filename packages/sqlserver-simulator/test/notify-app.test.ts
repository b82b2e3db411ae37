// The doorbell ole-automation as the simulator does it: a real HTTP call from within the statement, before the commit.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { openClinic, openScriptConnection } from '@clinic-sync/clinic'
import { toEvent } from '@clinic-sync/sync'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { startSimulator } from '../src/index.ts'

const DOCTOR = "INSERT INTO dbo.AlignerDoctors (DoctorName) VALUES (N'x')"
const rung = (rows: readonly object[]) => ({ ...rows[0] })

/** An application that is called, and a session whose writes call it. */
async function open(t: Test, answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const simulator = await startSimulator()
  t.teardown(() => simulator.stop())
  const calls: { method?: string | undefined; path?: string | undefined; secret: unknown; open: number }[] = []
  const watcher = openScriptConnection(simulator.url)
  const server = createServer((request, response) => {
    const { method, url: path, headers } = request
    // What the application would find if it looked at once.
    void watcher.batch('EXEC sync.OpenTransactions').then((rows) => {
      calls.push({ method, path, secret: headers['x-sync-secret'], open: rows.length })
      answer(request, response)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/sync/queue-notify`
  const session = openScriptConnection(simulator.url)
  t.teardown(async () => {
    await Promise.all([session.close(), watcher.close()])
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  await session.batch(`EXEC sync.UseDoorbell N'ole-automation', N'${url}', N'the secret'`)
  return { simulator, server, session, watcher, calls, url }
}

t.test(
  'it calls with the secret before the commit, once for a statement, and the statement ends after the answer',
  async (t) => {
    const { session, calls } = await open(t, (_, response) => response.writeHead(202).end('{}'))
    await session.batch(DOCTOR)
    t.strictSame(calls, [{ method: 'POST', path: '/api/sync/queue-notify', secret: 'the secret', open: 1 }])
    await session.batch('BEGIN TRANSACTION')
    await session.batch(DOCTOR)
    t.equal(calls.length, 2)
    await session.batch('ROLLBACK TRANSACTION')
    t.equal(calls.length, 2, 'it rang for what never came')
    await session.batch('UPDATE dbo.AlignerDoctors SET DoctorName = DoctorName')
    t.equal(calls.length, 2)
  },
)

t.test('by hand it says what came of it', async (t) => {
  let status = 202
  const { session, url } = await open(t, (_, response) => response.writeHead(status).end())
  const ring = async () => rung(await session.batch('EXEC sync.RingDoorbell'))
  t.strictSame(await ring(), { Doorbell: 'ole-automation', Rang: true, Answer: 'HTTP 202' })
  status = 401
  t.strictSame(await ring(), { Doorbell: 'ole-automation', Rang: false, Answer: 'HTTP 401' })
  t.strictSame(await session.batch('EXEC sp_NotifyAppOfSync;'), [], 'words, no rows')
  const none = `EXEC sync.UseDoorbell N'ole-automation', N'', N''`
  await session.batch(none)
  t.strictSame(await ring(), { Doorbell: 'ole-automation', Rang: false, Answer: 'no address is set' })
  await session.batch(`EXEC sync.UseDoorbell N'ole-automation', N'${url.replace('http', 'nonsense ')}'`)
  t.match(await ring(), { Rang: false, Answer: /^could not call/ })
})

t.test('an application that hangs costs a second, once; one that is gone costs nothing; no write fails', async (t) => {
  const { session, watcher, calls, server } = await open(t, () => {})
  const began = Date.now()
  await session.batch(DOCTOR)
  const took = Date.now() - began
  t.ok(took >= 850 && took < 2000, `${took} ms`)
  await session.batch(DOCTOR)
  t.equal(calls.length, 1, 'the session that met it is quiet for a while')
  t.ok(Date.now() - began < took + 500)
  t.strictSame(rung(await watcher.batch('EXEC sync.RingDoorbell')), {
    Doorbell: 'ole-automation',
    Rang: false,
    Answer: 'no answer in time',
  })
  server.closeAllConnections()
  server.close()
  t.match(rung(await watcher.batch('EXEC sync.RingDoorbell')), {
    Rang: false,
    Answer: 'could not connect to the address',
  })
  await watcher.batch(DOCTOR)
  t.equal(Number((await watcher.batch('SELECT COUNT(*) AS n FROM dbo.SyncQueue'))[0]?.n), 3)
})

t.test('while it calls, others write and read on', async (t) => {
  const asked: ((answer: () => void) => void)[] = []
  const called = new Promise<() => void>((resolve) => {
    asked.push(resolve)
  })
  const { simulator, session, watcher } = await open(t, (_, response) =>
    asked[0]?.(() => response.writeHead(202).end()),
  )
  let isOver = false
  const writing = session.batch(DOCTOR).then(() => {
    isOver = true
  })
  const answer = await called
  const [row] = await watcher.batch('EXEC sync.OpenTransactions')
  const other = openScriptConnection(simulator.url)
  t.teardown(() => other.close())
  const waiting = other.batch(`EXEC sync.AwaitTransaction @QueueID = ${String(row?.QueueID)}`)
  t.equal(Number((await watcher.batch('SELECT COUNT(*) AS n FROM dbo.tblpatients'))[0]?.n), 0)
  t.notOk(isOver)
  answer()
  await Promise.all([writing, waiting])
  t.ok(isOver)
})

t.test('a trigger that an operator has switched off does not call', async (t) => {
  const { session, calls } = await open(t, (_, response) => response.writeHead(202).end())
  await session.batch('ALTER TABLE dbo.SyncQueue DISABLE TRIGGER trg_SyncQueue_NotifyApp')
  await session.batch(DOCTOR)
  t.equal(calls.length, 0)
  await session.batch("EXEC sync.UseDoorbell N'ole-automation'")
  await session.batch(DOCTOR)
  t.equal(calls.length, 1)
  await session.batch("EXEC sync.UseDoorbell N'none'")
  await session.batch(DOCTOR)
  t.equal(calls.length, 1)
})

t.test(
  'a rehearsal, by the login of the services, calls nobody; the next write of the same session does',
  async (t) => {
    const { simulator, session, calls } = await open(t, (_, response) => response.writeHead(202).end('{}'))
    await session.batch(DOCTOR)
    await session.batch("INSERT INTO dbo.tblpatients (PatientName) VALUES (N'x')")
    await session.batch('INSERT INTO dbo.tblwork (PersonID, TotalRequired, Typeofwork, DrID) VALUES (1, 5, 1, 1)')
    await session.batch('INSERT INTO dbo.tblAlignerSets (WorkID, AlignerDrID, SetSequence) VALUES (1, 1, 1)')
    const before = calls.length
    const clinic = await openClinic({
      url: simulator.serviceUrl,
      timeZone: 'Asia/Baghdad',
      log: pino({ level: 'silent' }),
    })
    t.teardown(() => clinic.close())
    const row = {
      note_id: -1,
      aligner_set_id: 1,
      note_type: 'Doctor',
      note_text: 'born in the portal',
      created_at: '2026-01-31T08:15:30.120Z',
      is_edited: false,
      edited_at: null,
      is_read: false,
    }
    const change = { table: 'aligner_notes', key: -1, version: '1', seen: '0', since: '1', base: null, row }
    const event = toEvent('portal', { ...change, capturedAt: '2026-01-31T08:15:30.120Z' })
    t.match(await clinic.rehearse(event), { before: null, after: row, outcome: { outcome: 'applied' } })
    t.equal(calls.length, before)
    t.match(await clinic.applyChanges([event]), [{ outcome: 'applied' }])
    t.equal(calls.length, before + 1)
  },
)
