import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { connectBroker, DISCARDED, openDeadLetterBox, startEventConsumer } from '@clinic-sync/broker'
import { openClinic, openScriptConnection } from '@clinic-sync/clinic'
import { testClinic, testPostgres, testVhost } from '@clinic-sync/dev-services/testing'
import { isOver, type JudgedLetter, select, standing, type Yard } from '@clinic-sync/operations'
import { openPortal } from '@clinic-sync/portal'
import { createLogger } from '@clinic-sync/runtime'
import { toEvent } from '@clinic-sync/sync'
import pg from 'pg'
import t from 'tap'
import { discardCommand, type DiscardOptions } from '../src/dead-letters/discard.ts'
import { listLines } from '../src/dead-letters/list.ts'
import { replayCommand } from '../src/dead-letters/replay.ts'
import { show } from '../src/dead-letters/show.ts'
import { openYard } from '../src/dead-letters/yard.ts'
import { migrate } from '../src/index.ts'

const log = createLogger({ name: 'test', level: 'silent' })
const [rabbit, postgres, simulator] = await Promise.all([testVhost(t), testPostgres(t), testClinic(t)])
await migrate({ side: 'portal', url: postgres.url, withPortalTables: true, onLine: () => undefined })
const environment = {
  SQLSERVER_URL: simulator.serviceUrl,
  POSTGRES_URL: postgres.url,
  RABBITMQ_URL: rabbit.url,
  CLINIC_TIME_ZONE: 'Asia/Baghdad',
}
const staff = openScriptConnection(simulator.url)
const clinic = await openClinic({ url: simulator.serviceUrl, timeZone: 'Asia/Baghdad', log })
const portal = await openPortal({ url: postgres.url, log })
const admin = new pg.Client(postgres.url)
await admin.connect()
const broker = await connectBroker({ url: rabbit.url, log, name: 'test' })
await broker.ready()
startEventConsumer({ broker, direction: 'sql-to-postgres', target: portal, log })
broker.consumeOutcomes(
  'sql-to-postgres',
  async (batches) => clinic.settleChanges(batches.flatMap(({ outcomes }) => outcomes)),
  { check: () => clinic.check() },
)
t.teardown(async () => {
  await broker.close()
  await Promise.all([staff.close(), clinic.close(), portal.close(), admin.end()])
})

const until = async (condition: () => Promise<boolean>) => {
  for (const deadline = Date.now() + 20_000; !(await condition());) {
    if (Date.now() > deadline) throw new Error('in vain')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
const outbox = () => staff.batch('SELECT RecordID, Status, LastError FROM dbo.SyncQueue ORDER BY QueueID')
/** What the ingress does: sends what is pending. Resolves when all of it is settled. */
async function drain(): Promise<void> {
  const { changes } = await clinic.takeChanges(1_000)
  await broker.publishEvents(changes.map((change) => toEvent('clinic', change)))
  await clinic.settleChanges(changes.map(({ table, key, version }) => ({ table, key, version, outcome: 'queued' })))
  await until(async () => (await outbox()).every(({ Status }) => Status === 'Synced' || Status === 'Failed'))
}
const forbid = () =>
  admin.query(`ALTER TABLE aligner_doctors ADD CONSTRAINT no_secret CHECK (doctor_name NOT LIKE 'Secret%') NOT VALID`)
const allow = () => admin.query('ALTER TABLE aligner_doctors DROP CONSTRAINT no_secret')
const rename = (name: string, id: number) =>
  staff.batch(`UPDATE dbo.AlignerDoctors SET DoctorName = N'${name}' WHERE DrID = ${id}`)
const lines: string[] = []
const say = (line: string) => void lines.push(line)
const progress = { at: () => undefined, stop: () => undefined }

/** Runs what a command does, and gives what it said. */
async function inYard(work: (yard: Yard, letters: readonly JudgedLetter[]) => Promise<unknown>): Promise<string> {
  lines.length = 0
  const yard = await openYard(environment)
  try {
    await work(yard, yard.letters)
  } finally {
    await yard.close()
  }
  return lines.join('\n')
}
const list = () => inYard(async (_, letters) => listLines(letters, 20).forEach(say))
const signal = new AbortController().signal

t.test('list, show and rehearse: what, why, what to do; the constraint by name, and no value', async (t) => {
  await forbid()
  for (const name of ['Good', 'Secret A', 'Secret B'])
    await staff.batch(`INSERT INTO dbo.AlignerDoctors (DoctorName) VALUES (N'${name}')`)
  await drain()
  const listed = await list()
  t.match(listed, /^2 dead letters\.\n\nsql-to-postgres {2}23514 {2}2 letters\n/)
  t.match(listed, /aligner_doctors\/2 .* standing .*no_secret.*\(23514\)/)
  const shown = await inYard((yard, letters) =>
    show(yard, select(letters, { ids: ['aligner_doctors/2'] }), { rehearse: true, values: false, say, progress }),
  )
  t.match(shown, /The state of aligner_doctors\/2 at version \d+\./)
  t.match(shown, /Its row in the outbox of the clinic is Failed: 23514/)
  t.match(
    shown,
    /Rehearsal +It would be refused again: aligner_doctors\/2: aligner_doctors \(no_secret\) violates .*\(23514\)\./,
  )
  t.match(shown, /Nothing of it has stayed/)
  t.notMatch(shown, /does not count here/, 'which is said of a value that a ruling leaves out')
  t.notMatch(listed + shown, /Secret A/)
})

t.test('replay stops at the first that fails again, and goes through once it is cured', async (t) => {
  const stopped = await inYard((yard, letters) => replayCommand(yard, standing(letters), { say, progress, signal }))
  t.match(stopped, /^1 dead letter replayed: 1 dead\.\nStopped: aligner_doctors\/[23] \(\w{10}\) is dead again/)
  t.match(stopped, /1 letter was not sent, and lies where before\./)
  await allow()
  const shown = await inYard((yard, letters) =>
    show(yard, select(letters, { all: true }), { rehearse: true, values: true, say, progress }),
  )
  t.match(shown, /It would go through now: applied\./)
  t.match(shown, /doctor_name +– → "Secret A"/)
  t.match(shown, /It has been replayed 1 time before/)
  const replayed = await inYard((yard, letters) => replayCommand(yard, standing(letters), { say, progress, signal }))
  t.equal(replayed, '2 dead letters replayed: 2 applied.')
  t.equal(await list(), 'No dead letters.')
  await until(async () => (await outbox()).every(({ Status }) => Status === 'Synced'))
  t.strictSame((await admin.query('SELECT dr_id FROM aligner_doctors ORDER BY 1')).rows, [
    { dr_id: 1 },
    { dr_id: 2 },
    { dr_id: 3 },
  ])
})

t.test(
  'a later change that succeeds supersedes; discards say who and why, in RabbitMQ and in the outbox',
  async (t) => {
    await forbid()
    await rename('Secret C', 1)
    await rename('Secret D', 2)
    await drain()
    await rename('Fine', 1)
    await drain()
    const listed = await list()
    t.match(listed, /2 dead letters; 1 of them is over/)
    t.match(listed, /aligner_doctors\/1 .* superseded by \d+/)
    await inYard(async (yard, letters) => {
      t.strictSame(
        standing(select(letters, { all: true })).map(({ letter }) => letter.about?.key),
        [2],
        'a replay leaves it out',
      )
      await show(yard, letters.filter(isOver), { rehearse: true, values: false, say, progress })
      t.match(
        lines.join('\n'),
        /A later version of the record, \d+, has arrived since\.[^]*It would go through now: stale/,
      )
    })
    const said: string[] = []
    const options: DiscardOptions = {
      who: 'Sara',
      why: 'the practice has closed',
      yes: true,
      input: process.stdin,
      out: { write: (text: string) => said.push(text) } as unknown as NodeJS.WriteStream,
      progress,
    }
    await inYard(async (yard, letters) => {
      await t.rejects(discardCommand(yard, letters, { ...options, yes: false, input: { isTTY: false } as never }), {
        code: 'SYNC_USAGE',
      })
      await t.rejects(discardCommand(yard, letters, { ...options, why: ' ' }), { code: 'SYNC_USAGE' })
      t.ok(await discardCommand(yard, letters, options))
    })
    t.match(said, [/^2 dead letters discarded by Sara/])
    t.equal(await list(), 'No dead letters.')
    const box = await openDeadLetterBox({ url: rabbit.url, queues: [DISCARDED] })
    const opened = await box.take(box.letters)
    await box.close()
    t.match(
      opened.map(({ message }) => message.properties.headers),
      [1, 2].map(() => ({
        'sync-discarded-by': 'Sara',
        'sync-discarded-why': 'the practice has closed',
        'sync-error-code': '23514',
      })),
    )
    const failed = (await outbox()).filter(({ Status }) => Status === 'Failed')
    t.match(failed, [{ RecordID: 2, LastError: /^SYNC_DISCARDED: by Sara: the practice has closed \(was 23514\)/ }])
    // It is only this change that was given up.
    await rename('Fine too', 2)
    await drain()
    t.match((await admin.query('SELECT doctor_name FROM aligner_doctors WHERE dr_id = 2')).rows, [
      { doctor_name: 'Fine too' },
    ])
  },
)

t.test('of many, a rehearsal says how many would go through, and names those that would not', async (t) => {
  await rename('Secret E', 1)
  await rename('Secret F', 3)
  for (let n = 4; n < 10; n++) await staff.batch(`INSERT INTO dbo.AlignerDoctors (DoctorName) VALUES (N'Secret ${n}')`)
  await drain()
  await allow()
  await admin
    .query(`ALTER TABLE aligner_doctors ADD CONSTRAINT not_three CHECK (dr_id <> 3 OR doctor_name NOT LIKE 'Sec%')`)
    .catch(() => admin.query(`ALTER TABLE aligner_doctors ADD CONSTRAINT not_three CHECK (dr_id <> 3) NOT VALID`))
  const shown = await inYard((yard, letters) => show(yard, letters, { rehearse: true, values: false, say, progress }))
  t.match(shown, /aligner_doctors\/3: It would be refused again: .*not_three/)
  t.match(shown, /8 letters rehearsed, nothing of it has stayed: 7 would go through, 1 would not \(1 for 23514\)\.$/)
})

t.test('the command itself: as JSON, and an unknown id ends with 1', async (t) => {
  const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))
  const run = (...args: string[]) =>
    promisify(execFile)(
      process.execPath,
      ['--import=tsx', '--conditions=@clinic-sync/source', main, 'dead-letters', ...args],
      { env: { ...process.env, ...environment } },
    )
  const listing = run('list', '--json', '--table', 'aligner_doctors')
  const { stdout } = await listing
  const { letters } = JSON.parse(stdout) as { letters: object[] }
  t.equal(letters.length, 8)
  t.match(letters[0], {
    id: /^\w{10}$/,
    cause: '23514',
    standing: 'standing',
    outboxStatus: 'Failed',
    direction: 'sql-to-postgres',
  })
  const unknown = await run('replay', 'aligner_doctors/999').catch((error: unknown) => error)
  t.match(unknown, { code: 1, stderr: /There is no dead letter aligner_doctors\/999\. See/ })
  const none = await run('show', '--cause', '40001').catch((error: unknown) => error)
  t.match(none, { code: 1, stdout: /There is no such dead letter/ })
})
