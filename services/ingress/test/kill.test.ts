import { connectBroker } from '@clinic-sync/broker'
import type { Settlement } from '@clinic-sync/contracts'
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { Fake } from './fake-outbox.ts'
import { recordingLog, until } from './help.ts'
import type { FromService, Step, ToService } from './kill-messages.ts'
import { testRabbit } from './rabbit.ts'

const SECRET = 'kill-test-secret-0123456789'
const CHANGES = 50

// Nine processes are started and seven killed: longer than tap's 30 s on a busy machine.
t.setTimeout(90_000)

const rabbitUrl = await testRabbit(t)

/** The clinic's outbox, which outlives the ingress. */
const clinic = new Fake('clinic')

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
  readonly url: string
  send(message: ToService): void
  /** Resolves with what it ended by. */
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>
}

function load(): ChildProcess {
  const child = fork(fileURLToPath(new URL('./kill-fixture.ts', import.meta.url)), {
    execArgv: ['--import=tsx', '--conditions=@clinic-sync/source'],
    env: { ...process.env, RABBITMQ_URL: rabbitUrl, SYNC_WEBHOOK_SECRET: SECRET, LOG_LEVEL: 'fatal' },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  return child
}

let spare = load()

async function startService(): Promise<Service> {
  const child = spare
  const ended = once(child, 'exit').then(([code, signal]) => ({ code, signal }) as Awaited<Service['ended']>)
  const send = (message: ToService) => {
    if (child.connected) child.send(message, () => undefined)
  }
  const url = await new Promise<string>((resolve, reject) => {
    void ended.then(() => reject(new Error('the ingress did not start')))
    child.on('message', (message: FromService) => {
      if ('url' in message) return resolve(message.url)
      const { id, method, argument } = message.call
      const work =
        method === 'takeChanges'
          ? clinic.takeChanges(argument as number)
          : clinic.settleChanges(argument as readonly Settlement[])
      void work.then((result) => send({ id, result: result ?? null }))
    })
    send({ go: true })
  })
  spare = load()
  // Only now does SIGTERM find a drain at work rather than one that waits for RabbitMQ.
  await until('it is ready', async () => (await fetch(`${url}/readyz`)).ok)
  return { process: child, url, send, ended }
}

const ring = (service: Service) =>
  fetch(`${service.url}/api/sync/queue-notify`, { method: 'POST', headers: { 'x-sync-secret': SECRET } }).catch(
    // A kill may come before the answer.
    () => undefined,
  )

let nextKey = 0
function edit(changes = CHANGES): void {
  for (let i = 0; i < changes; i++) clinic.change(++nextKey)
}

const allSynced = () => clinic.rows.every((row) => row.status === 'Synced')
const missing = () => clinic.rows.filter((row) => !arrived.includes(`clinic/aligner_notes/${row.key}/${row.id}`))

t.test('the ingress is killed between any two steps', async (t) => {
  let service = await startService()
  const steps: Step[] = ['taken', 'sending', 'published', 'confirmed', 'settled', 'outcome-received', 'outcome-settled']
  for (const step of steps) {
    service.send({ arm: step })
    edit()
    const before = arrived.length
    await ring(service)
    if (step === 'published') {
      await until('events have arrived', () => arrived.length > before)
      service.process.kill('SIGKILL')
    }
    t.match(await service.ended, { signal: 'SIGKILL' }, `killed: ${step}`)
    service = await startService()
    await until(`all is synced after a kill: ${step}`, allSynced, 20_000)
    t.same(missing(), [], `every change arrived: ${step}`)
  }

  service.send({ arm: 'terminated' })
  edit(1200)
  await ring(service)
  t.same(await service.ended, { code: 0, signal: null }, 'SIGTERM ends it with 0')
  const pending = clinic.pending()
  t.equal(pending, 1200 - 500, 'the batch in flight was finished, and no other begun')

  service = await startService()
  await until('all is synced after SIGTERM', allSynced, 20_000)
  t.same(missing(), [], 'every change arrived')
  const again = arrived.length - new Set(arrived).size
  t.ok(again <= steps.length * CHANGES, `${again} events came again, under the same ids`)
  service.process.kill('SIGTERM')
  t.same(await service.ended, { code: 0, signal: null })
})
