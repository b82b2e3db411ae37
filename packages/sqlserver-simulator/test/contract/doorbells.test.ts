// The doorbells: which of them is on, and Service Broker's. Runs against the simulator, and SQLSERVER_URL when it is set. The
// HTTP ones cannot be made to call here; what the simulator does in their place is in test/notify-app.test.ts.
import { openScriptConnection } from '@clinic-sync/clinic'
import t from 'tap'
import { openBench, type Session } from './bench.ts'

const bench = await openBench(t)
const { run } = bench
const skip = bench.babelfish && 'Babelfish has no Service Broker'
const DOCTOR = "INSERT INTO dbo.AlignerDoctors (DoctorName) VALUES (N'x')"
/** How long nothing must be heard, ms: a message is delivered by its commit, or never. */
const SILENCE = 100

const use = (doorbell: string, more = '') => run(`EXEC sync.UseDoorbell N'${doorbell}'${more}`)
const ringing = async () => ({ ...(await run('EXEC sync.RingDoorbell'))[0] })
const numbered = (number: number, message?: RegExp) =>
  ({ number, ...(message === undefined ? {} : { message }) }) as unknown as Error
const triggerOf = async (name: string) => (await bench.clinic.inspect()).get(`trigger:${name}`)

/** Waits on a session of its own. */
async function ears() {
  const session = await bench.session()
  const wait = async (ms: number) => (await session.run(`EXEC sync.WaitForChanges @TimeoutMs = ${ms}`))[0]?.Rang
  return { wait, heard: () => wait(SILENCE), forever: () => wait(0) }
}

/** Service Broker's doorbell, with nothing in its queue. */
async function listening() {
  await use('service-broker')
  const found = await ears()
  while (await found.heard());
  return found
}

t.test('which doorbell is on is written down, with where it calls, and kept where nothing is said', async (t) => {
  const settings = async () =>
    Object.fromEntries(
      (await run("SELECT Name, Value FROM sync.Settings WHERE Name LIKE 'Doorbell%'")).map(({ Name, Value }) => [
        Name,
        Value,
      ]),
    )
  const url = `http://127.0.0.1:3000/api/sync/queue-notify?${'x'.repeat(900)}`
  await use('none', `, N'${url}', N'a secret'`)
  t.strictSame(await settings(), { Doorbell: 'none', DoorbellURL: url, DoorbellSecret: 'a secret' })
  await use('none', ", @Secret = N'another'")
  await use('none')
  t.strictSame(await settings(), { Doorbell: 'none', DoorbellURL: url, DoorbellSecret: 'another' })
  const facts = await bench.clinic.inspect()
  t.equal(facts.get('Doorbell'), 'none')
  t.equal(facts.get('DoorbellSecret'), 'set', 'and its value is nobody’s business')
})

t.test('a doorbell that is not known, or not installed, is refused, and nothing changes', async (t) => {
  await use('none')
  for (const name of ['', 'bell', 'none of them'])
    await t.rejects(use(name), numbered(51_200, /service-broker, ole-automation, rest-endpoint, none/))
  await t.rejects(run('EXEC sync.UseDoorbell NULL'), numbered(51_200))
  await t.rejects(use('rest-endpoint'), numbered(51_212, /08_rest_endpoint_doorbell\.sql/))
  t.equal((await bench.clinic.inspect()).get('Doorbell'), 'none')
  t.equal(Number(await bench.value('SELECT @@TRANCOUNT')), 0)
})

t.test('with none nothing rings, and it says so', async (t) => {
  await use('none')
  t.strictSame(await ringing(), { Doorbell: 'none', Rang: false, Answer: 'no doorbell is switched on' })
  await run(DOCTOR)
})

t.test('who would wait for a doorbell that is off, or not as one should, is told', { skip }, async (t) => {
  await use('none')
  const { wait } = await ears()
  await t.rejects(wait(1), numbered(51_211))
  await use('service-broker')
  t.equal(typeof (await wait(1)), 'boolean')
  await t.rejects(wait(-1), numbered(51_200))
  await t.rejects(run('EXEC sync.WaitForChanges NULL'), numbered(51_200))
})

t.test('it rings at the commit, not before, once, and is kept until somebody waits', { skip }, async (t) => {
  const { heard, forever } = await listening()
  const session = await bench.session()
  await session.begin()
  await session.run(DOCTOR)
  await session.run(DOCTOR)
  t.equal(await heard(), false)
  const waiting = forever()
  await session.commit()
  t.equal(await waiting, true)
  t.equal(await heard(), false)
  await run(DOCTOR)
  await run(DOCTOR)
  t.equal(await heard(), true)
  t.equal(await heard(), false, 'who comes takes all that has rung')
})

t.test('nothing rings after a rollback, in whole or to a savepoint', { skip }, async (t) => {
  const { heard } = await listening()
  const session = await bench.session()
  await session.begin()
  await session.run(DOCTOR)
  await session.rollback()
  t.equal(await heard(), false)
  await session.begin()
  await session.run('SAVE TRANSACTION here')
  await session.run(DOCTOR)
  await session.run('ROLLBACK TRANSACTION here')
  await session.commit()
  t.equal(await heard(), false)
  await session.run(DOCTOR)
  t.equal(await heard(), true, 'and the same session rings again')
})

t.test('a change that is none rings nobody', { skip }, async (t) => {
  await run(DOCTOR)
  const { heard } = await listening()
  await run('UPDATE dbo.AlignerDoctors SET DoctorName = DoctorName')
  await run("UPDATE dbo.SyncQueue SET Status = 'Synced'")
  t.equal(await heard(), false)
})

t.test('a session that stays open holds up no other, nor does the doorbell wait for it', { skip }, async (t) => {
  const { heard, forever } = await listening()
  const [slow, ...others] = await sessions(4)
  for (const session of [slow, ...others]) await session.run(DOCTOR)
  while (await heard());
  await slow.begin()
  await slow.run(DOCTOR)
  for (const session of others) {
    const waiting = forever()
    await session.run('SET LOCK_TIMEOUT 2000')
    await session.begin()
    await session.run(DOCTOR)
    await session.commit()
    t.equal(await waiting, true)
  }
  const waiting = forever()
  await slow.commit()
  t.equal(await waiting, true)
})

t.test('it is rung by hand', { skip }, async (t) => {
  const { forever } = await listening()
  const waiting = forever()
  t.strictSame(await ringing(), { Doorbell: 'service-broker', Rang: true, Answer: null })
  t.equal(await waiting, true)
})

t.test('what the user’s statement gives is as without it', { skip }, async (t) => {
  await listening()
  const session = await bench.session()
  const [after] = await session.run(
    `${DOCTOR}; SELECT @@ROWCOUNT AS n, @@ERROR AS error, CAST(SCOPE_IDENTITY() AS int) AS own, CAST(@@IDENTITY AS int) AS last`,
  )
  t.strictSame({ n: after?.n, error: after?.error }, { n: 1, error: 0 })
  t.equal(after?.own, after?.last)
})

t.test('a session that waits for a client that is gone takes no ring away', { skip }, async (t) => {
  const { forever } = await listening()
  const gone = forever()
  const young = await ears()
  t.equal(await young.heard(), false)
  for (let ring = 0; ring < 3; ring++) {
    const waiting = young.forever()
    await run(DOCTOR)
    t.equal(await waiting, true)
  }
  // It has been woken by one of them, or is by the next.
  await run(DOCTOR)
  t.equal(await gone, true)
  while (await young.heard());
})

t.test(
  'a session that waits while a later one is gone hears each change, and not its own rings for ever',
  { skip },
  async (t) => {
    const { forever } = await listening()
    const { heard } = await ears()
    t.equal(await heard(), false)
    let rings = 0
    let isOver = false
    const hearing = (async () => {
      for (; !isOver && rings < 20; rings++) await forever()
    })()
    await run(DOCTOR)
    await new Promise((resolve) => setTimeout(resolve, 2 * SILENCE))
    t.ok(rings === 1 || rings === 2, `${rings} rings`)
    isOver = true
    await run(DOCTOR)
    await hearing
    while (await heard());
  },
)

t.test('who waits can be told that it still does, as often as one likes', { skip }, async (t) => {
  await listening()
  const messages: string[] = []
  const connection = openScriptConnection(bench.url, { onMessage: ({ message }) => messages.push(message) })
  t.teardown(() => connection.close())
  const [over] = await connection.batch('EXEC sync.WaitForChanges @TimeoutMs = 100, @BeatMs = 20')
  t.equal(over?.Rang, false)
  t.ok(messages.length >= 2, 'while it waits')
  const waiting = connection.batch('EXEC sync.WaitForChanges @TimeoutMs = 0, @BeatMs = 20')
  const before = messages.length
  while (messages.length < before + 2) await new Promise((resolve) => setImmediate(resolve))
  await run(DOCTOR)
  t.equal((await waiting)[0]?.Rang, true)
  await t.rejects(run('EXEC sync.WaitForChanges 1, 0'), numbered(51_200))
})

t.test('a trigger that an operator has switched off shows, and does not ring', { skip }, async (t) => {
  const { heard } = await listening()
  for (const [off, on] of [
    [
      'DISABLE TRIGGER dbo.trg_SyncQueue_RingServiceBroker ON dbo.SyncQueue',
      'ENABLE TRIGGER dbo.trg_SyncQueue_RingServiceBroker ON dbo.SyncQueue',
    ],
    [
      'ALTER TABLE dbo.SyncQueue DISABLE TRIGGER trg_SyncQueue_RingServiceBroker',
      'ALTER TABLE dbo.SyncQueue ENABLE TRIGGER trg_SyncQueue_RingServiceBroker',
    ],
  ] as const) {
    await run(off)
    t.equal(await triggerOf('trg_SyncQueue_RingServiceBroker'), 'disabled')
    await run(DOCTOR)
    t.equal(await heard(), false)
    await run(on)
    t.equal(await triggerOf('trg_SyncQueue_RingServiceBroker'), 'enabled')
    await run(DOCTOR)
    t.equal(await heard(), true)
  }
  await run('DISABLE TRIGGER dbo.trg_SyncQueue_RingServiceBroker ON dbo.SyncQueue')
  await use('service-broker')
  t.equal(await triggerOf('trg_SyncQueue_RingServiceBroker'), 'enabled', 'choosing it anew switches it on')
})

t.test('a capture trigger that an operator has switched off shows, and captures nothing', async (t) => {
  await bench.clear()
  await run('DISABLE TRIGGER dbo.trg_sync_AlignerDoctors ON dbo.AlignerDoctors')
  if (!bench.babelfish) t.equal(await triggerOf('trg_sync_AlignerDoctors'), 'disabled')
  await run(DOCTOR)
  t.strictSame(await bench.queue(), [])
  await run('ENABLE TRIGGER dbo.trg_sync_AlignerDoctors ON dbo.AlignerDoctors')
  await run(DOCTOR)
  t.equal((await bench.queue()).length, 1)
})

t.test('choosing another wakes who waits for this one, who learns it at the next wait', { skip }, async (t) => {
  const { forever, wait } = await listening()
  const waiting = forever()
  await use('none')
  t.equal(await waiting, true)
  await t.rejects(wait(0), numbered(51_211))
  t.equal(await triggerOf('trg_SyncQueue_RingServiceBroker'), 'disabled')
  await run(DOCTOR)
  const { heard } = await listening()
  t.equal(await heard(), false)
  await run(DOCTOR)
  t.equal(await heard(), true)
})

t.test(
  "somebody's open transaction in the outbox: choosing gives way, and nothing has changed",
  { skip },
  async (t) => {
    await use('service-broker')
    const session = await bench.session()
    await session.begin()
    await session.run(DOCTOR)
    await t.rejects(use('none'), numbered(51_222))
    t.equal((await bench.clinic.inspect()).get('Doorbell'), 'service-broker')
    t.equal(await triggerOf('trg_SyncQueue_RingServiceBroker'), 'enabled')
    await session.commit()
    await use('none')
  },
)

// The simulator has no dialogs.
if (process.env.SQLSERVER_URL)
  t.test('a dialog that an operator has ended is begun anew', { skip }, async (t) => {
    const { heard } = await listening()
    await run(DOCTOR)
    t.equal(await heard(), true)
    // All of this service's, on both ends, as the troubleshooting pages of Service Broker have it.
    await run(`DECLARE @handle uniqueidentifier
    WHILE EXISTS (SELECT 1 FROM sys.conversation_endpoints)
    BEGIN
      SELECT TOP (1) @handle = conversation_handle FROM sys.conversation_endpoints;
      END CONVERSATION @handle WITH CLEANUP;
    END`)
    await run(DOCTOR)
    t.equal(await heard(), true)
  })

t.test('where Service Broker is off: no write fails, and everybody is told what to run', { skip }, async (t) => {
  await use('none')
  const name = await bench.value('SELECT DB_NAME()')
  await run(`ALTER DATABASE [${name}] SET DISABLE_BROKER WITH ROLLBACK IMMEDIATE`)
  await t.rejects(
    use('service-broker'),
    numbered(51_210, /ALTER DATABASE \[\w+\] SET ENABLE_BROKER WITH ROLLBACK IMMEDIATE/),
  )
  await t.rejects((await ears()).wait(1), numbered(51_210, /ALTER DATABASE \[\w+\] SET ENABLE_BROKER/))
  await run(`ALTER DATABASE [${name}] SET ENABLE_BROKER WITH ROLLBACK IMMEDIATE`)
  await use('service-broker')
  await run(`ALTER DATABASE [${name}] SET DISABLE_BROKER WITH ROLLBACK IMMEDIATE`)
  await run(DOCTOR)
  t.match(await ringing(), { Doorbell: 'service-broker', Rang: false, Answer: /Service Broker is off/ })
  t.equal((await run('EXEC sync.Inspect')).find(({ Name }) => Name === 'IsBrokerEnabled')?.Value, '0')
  await run(`ALTER DATABASE CURRENT SET ENABLE_BROKER WITH ROLLBACK IMMEDIATE`)
  const { heard } = await listening()
  await run(DOCTOR)
  t.equal(await heard(), true)
})

async function sessions(count: number): Promise<[Session, ...Session[]]> {
  const [first, ...rest] = await Promise.all(Array.from({ length: count }, () => bench.session()))
  if (first === undefined) throw new Error('no session')
  return [first, ...rest]
}
