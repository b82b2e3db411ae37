import { connectBroker } from '@clinic-sync/broker'
import { parseAddress } from '@clinic-sync/clinic'
import { startSimulator } from '@clinic-sync/sqlserver-simulator'
import sql from 'mssql'
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { recordingLog, until } from './help.ts'
import type { FromService, Step, ToService } from './kill-messages.ts'
import { testRabbit } from './rabbit.ts'

/** Records changed before each kill. */
const CHANGES = 50
/** What one take of the drain looks at. */
const BATCH = 250
/** So many that a page is read while another is published. */
const MANY = 900

// Twelve processes are started and ten killed: longer than tap's 30 s on a busy machine.
t.setTimeout(400_000)

const simulator = await startSimulator({ migrated: true })
t.teardown(() => simulator.stop())
const rabbitUrl = await testRabbit(t)
const editor = await new sql.ConnectionPool(parseAddress(simulator.url)).connect()
t.teardown(() => editor.close())

/** Event ids that reached the consumer, each as often as it came. */
const arrived: string[] = []
const broker = await connectBroker({ url: rabbitUrl, log: recordingLog().log, name: 'consumer' })
t.teardown(() => broker.close())
broker.consumeEvents(
  'sql-to-postgres',
  async ({ events }) => {
    arrived.push(...events.map(({ event }) => event.id))
    const outcomes = events.map(({ event: { data } }) => ({
      table: data.table,
      key: data.key,
      version: data.version,
      outcome: 'applied' as const,
    }))
    await broker.publishOutcomes({ direction: 'sql-to-postgres', outcomes })
    return events.map(() => ({ action: 'done' as const }))
  },
  { check: async () => undefined },
)

interface Service {
  readonly process: ChildProcess
  arm(step: Step): Promise<void>
  /** Resolves with what it ended by. */
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>
}

function load(): ChildProcess {
  const child = fork(fileURLToPath(new URL('./kill-fixture.ts', import.meta.url)), {
    execArgv: ['--import=tsx', '--conditions=@clinic-sync/source'],
    env: {
      ...process.env,
      SQLSERVER_URL: simulator.url,
      RABBITMQ_URL: rabbitUrl,
      SYNC_WEBHOOK_SECRET: 'kill-test-secret-0123456789',
      LOG_LEVEL: 'fatal',
    },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  return child
}

let spare = load()

async function startService(): Promise<Service> {
  const child = spare
  const ended = once(child, 'exit').then(([code, signal]) => ({ code, signal }) as Awaited<Service['ended']>)
  const tell = async (message: ToService): Promise<FromService> => {
    const answer = once(child, 'message') as Promise<[FromService]>
    child.send(message)
    return (await answer)[0]
  }
  const notStarted = ended.then(() => Promise.reject(new Error('the ingress did not start')))
  notStarted.catch(() => undefined)
  const started = await Promise.race([tell({ go: true }), notStarted])
  const url = 'url' in started ? started.url : ''
  spare = load()
  await until('it is ready', async () => (await fetch(`${url}/readyz`)).ok)
  const arm = async (step: Step) => void (await tell({ arm: step }))
  return { process: child, arm, ended }
}

/** Inserts doctors, in one statement. */
async function edit(changes: number): Promise<void> {
  const rows = Array.from({ length: changes }, (_, i) => `(N'Dr. Kill ${i}')`)
  await editor.query(`INSERT INTO dbo.AlignerDoctors (DoctorName) VALUES ${rows.join(', ')}`)
}

async function countOf(status: string): Promise<number> {
  const { recordset } = await editor
    .request()
    .input('status', sql.NVarChar(20), status)
    .query<{ N: number }>('SELECT COUNT(*) AS N FROM dbo.SyncQueue WHERE Status = @status')
  return recordset[0]?.N ?? 0
}

let captured = 0
const allSynced = async () => (await countOf('Synced')) === captured

/** Outbox rows whose event never came. */
async function missing(): Promise<string[]> {
  const came = new Set(arrived)
  const { recordset } = await editor.query<{ RecordID: number; EventVersion: string }>(
    'SELECT RecordID, EventVersion FROM dbo.SyncQueue',
  )
  return recordset
    .map((row) => `clinic/aligner_doctors/${row.RecordID}/${row.EventVersion}`)
    .filter((id) => !came.has(id))
}

t.test('the ingress is killed between any two steps', async (t) => {
  let service = await startService()
  const steps: [Step, number][] = [
    ['taken', CHANGES],
    ['sending', CHANGES],
    ['published', CHANGES],
    ['confirmed', CHANGES],
    ['settled', CHANGES],
    ['outcome-received', CHANGES],
    ['outcome-settled', CHANGES],
    ['taken-ahead', MANY],
    ['confirmed', MANY],
    ['settled', MANY],
  ]
  for (const [step, changes] of steps) {
    await service.arm(step)
    const before = arrived.length
    await edit(changes)
    captured += changes
    if (step === 'published') {
      await until('events have arrived', () => arrived.length > before)
      service.process.kill('SIGKILL')
    }
    t.match(await service.ended, { signal: 'SIGKILL' }, `killed: ${step}`)
    service = await startService()
    await until(`all is synced after a kill: ${step}`, allSynced)
    t.same(await missing(), [], `every change arrived: ${step}`)
  }

  await service.arm('terminated')
  await edit(MANY)
  captured += MANY
  t.same(await service.ended, { code: 0, signal: null }, 'SIGTERM ends it with 0')
  t.equal(await countOf('Pending'), MANY - BATCH, 'the batch in flight was finished, and no other begun')

  service = await startService()
  await until('all is synced after SIGTERM', allSynced)
  t.same(await missing(), [], 'every change arrived')
  const again = arrived.length - new Set(arrived).size
  const most = steps.reduce((sum, [, changes]) => sum + changes, 0)
  t.ok(again <= most, `${again} events came again, under the same ids`)
  service.process.kill('SIGTERM')
  t.same(await service.ended, { code: 0, signal: null })
})
