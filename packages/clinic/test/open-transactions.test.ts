import { openClinic, openScriptConnection } from '@clinic-sync/clinic'
import { testClinic } from '@clinic-sync/dev-services/testing'
import { pino } from 'pino'
import t, { type Test } from 'tap'

const log = pino({ level: 'silent' })
const ADD = "INSERT INTO dbo.AlignerDoctors (DoctorName) VALUES (N'Dr. Sara')"

async function opened(t: Test) {
  const simulator = await testClinic(t)
  const clinic = await openClinic({ url: simulator.url, timeZone: 'Asia/Baghdad', log })
  t.teardown(() => clinic.close())
  /** Somebody at work, on a connection that is his own. */
  const person = () => {
    const hands = openScriptConnection(simulator.url)
    t.teardown(() => hands.close())
    return hands
  }
  /** Resolves when so many waits are in the database. */
  const arrived = async (waits: number) => {
    const there = () => simulator.statements().filter(({ text }) => /AwaitTransaction/.test(text)).length
    while (there() < waits) await new Promise((resolve) => setImmediate(resolve))
  }
  return { simulator, clinic, person, arrived }
}
const { signal } = new AbortController()
const ended = (promise: Promise<unknown>) => {
  const state = { is: false }
  const end = () => void (state.is = true)
  promise.then(end, end)
  return state
}

t.test('what is open is told by session, with its first row; what is committed is not', async (t) => {
  const { clinic, person } = await opened(t)
  t.same(await clinic.openTransactions(), [])
  const [one, two, three] = [person(), person(), person()]
  await one.batch(`BEGIN TRANSACTION; ${ADD}; ${ADD}`)
  await two.batch(`BEGIN TRANSACTION; ${ADD}`)
  await three.batch(ADD)
  const open = await clinic.openTransactions()
  t.same(open.map(({ queueId }) => Number(queueId)).toSorted(), [1, 3])
  t.equal(new Set(open.map(({ session }) => session)).size, 2)
  await one.batch('COMMIT')
  await two.batch('ROLLBACK')
  t.same(await clinic.openTransactions(), [])
})

t.test('a wait ends with its transaction, whichever way, and with no other', async (t) => {
  const { clinic, person, arrived } = await opened(t)
  const [long, short] = [person(), person()]
  await long.batch(`BEGIN TRANSACTION; ${ADD}`)
  for (const [i, end] of ['COMMIT', 'ROLLBACK'].entries()) {
    await short.batch(`BEGIN TRANSACTION; ${ADD}`)
    const [first, second] = await clinic.openTransactions()
    if (first === undefined || second === undefined) throw new Error('two are open')
    const longWait = clinic.awaitTransaction(first, signal)
    const longEnded = ended(longWait)
    const shortWait = clinic.awaitTransaction(second, signal)
    await arrived(2 * i + 2)
    await short.batch(end)
    await shortWait
    t.notOk(longEnded.is, 'the other is still open')
    if (end === 'COMMIT') {
      await long.batch(`COMMIT; BEGIN TRANSACTION; ${ADD}`)
      await longWait
    } else {
      await long.batch('ROLLBACK')
      await longWait
    }
  }
  await t.resolves(clinic.awaitTransaction({ session: 1, queueId: '9007199254740993' }, signal), 'a row that is gone')
})

t.test('a connection that has waited waits again', async (t) => {
  const { clinic, person, simulator } = await opened(t)
  const hands = person()
  const used = () =>
    new Set(
      simulator.statements().flatMap(({ connection, text }) => (/AwaitTransaction/.test(text) ? [connection] : [])),
    )
  for (let i = 0; i < 3; i++) {
    await hands.batch(`BEGIN TRANSACTION; ${ADD}`)
    const [open] = await clinic.openTransactions()
    if (open === undefined) throw new Error('one is open')
    const wait = clinic.awaitTransaction(open, signal)
    await hands.batch('COMMIT')
    await wait
  }
  t.equal(used().size, 1)
})

t.test('a connection that is cut is told; the next wait makes another', async (t) => {
  const { clinic, person, simulator, arrived } = await opened(t)
  await person().batch(`BEGIN TRANSACTION; ${ADD}`)
  const [open] = await clinic.openTransactions()
  if (open === undefined) throw new Error('one is open')
  const lost = t.rejects(clinic.awaitTransaction(open, signal), { failure: 'down', code: 'SYNC_DATABASE_DOWN' })
  await arrived(1)
  simulator.dropConnections()
  await lost
  t.same(await clinic.openTransactions(), [], 'whose connection was cut is rolled back')
  await t.resolves(clinic.awaitTransaction(open, signal))
})

t.test('an abort ends a wait at any moment, with its reason; close ends them all', async (t) => {
  const moments = [(f: () => void) => f(), setImmediate, (f: () => void) => setTimeout(f, 20)]
  const { clinic, person } = await opened(t)
  await person().batch(`BEGIN TRANSACTION; ${ADD}`)
  const [open] = await clinic.openTransactions()
  if (open === undefined) throw new Error('one is open')
  for (const moment of moments) {
    const [reason, controller] = [new Error('stop'), new AbortController()]
    const wait = clinic.awaitTransaction(open, controller.signal).catch((error: unknown) => error)
    moment(() => controller.abort(reason))
    t.equal(await wait, reason)
  }
  const waits = Array.from({ length: 5 }, () => clinic.awaitTransaction(open, signal))
  const down = waits.map((wait) => t.rejects(wait, { failure: 'down', code: 'SYNC_DATABASE_DOWN' }))
  await clinic.close()
  await Promise.all(down)
  await t.rejects(clinic.awaitTransaction(open, signal), { failure: 'down', code: 'SYNC_DATABASE_DOWN' })
})

t.test('the doorbell rings when it is asked to, and writes nothing', async (t) => {
  const { clinic } = await opened(t)
  await clinic.waitForChanges(signal)
  const heard = clinic.waitForChanges(signal)
  t.match(await clinic.ringDoorbell(), { doorbell: 'service-broker', rang: true })
  t.equal(await heard, 'changed')
  t.same(await clinic.openRows(), [])
})

t.test('rows that are not settled are told, with whether they have failed before', async (t) => {
  const { clinic, person } = await opened(t)
  await person().batch(`${ADD}; ${ADD}; ${ADD}`)
  t.same(
    await clinic.openRows(),
    [1, 2, 3].map((id) => ({ queueId: String(id), retrying: false })),
  )
  const { changes } = await clinic.takeChanges(10)
  const outcomes = ['retry', 'applied', 'queued'] as const
  await clinic.settleChanges(
    changes.map(({ table, key, version }, i) => ({
      table,
      key,
      version,
      outcome: outcomes[i] ?? 'queued',
      reason: 'a parent is missing',
    })),
  )
  t.same(await clinic.openRows(), [
    { queueId: '1', retrying: true },
    { queueId: '3', retrying: false },
  ])
})

t.test('a clinic whose Service Broker is not the doorbell says so, and heals', async (t) => {
  const { clinic, person } = await opened(t)
  const hands = person()
  await clinic.waitForChanges(signal)
  const woken = clinic.waitForChanges(signal)
  await hands.batch("EXEC sync.UseDoorbell @Doorbell = N'none'")
  t.equal(await woken, 'changed', 'it is rung once more, so that who waits learns of it')
  await t.rejects(clinic.waitForChanges(signal), { code: 'SYNC_NO_DOORBELL', number: '51211' })
  t.match(await clinic.ringDoorbell(), { doorbell: 'none', rang: false, answer: /no doorbell/ })
  await hands.batch("EXEC sync.UseDoorbell @Doorbell = N'service-broker'")
  t.equal(await clinic.waitForChanges(signal), 'connected')
})
