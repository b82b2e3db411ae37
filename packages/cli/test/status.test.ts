import { declareBroker } from '@clinic-sync/broker'
import type { SyncStatus } from '@clinic-sync/contracts'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { requeueCommand, secondsOf } from '../src/requeue/command.ts'
import { askStatus } from '../src/status/ask.ts'
import { statusCommand, watchCommand } from '../src/status/command.ts'
import { paper, TOKEN, until, world } from './support/whole-sync.ts'

// The commands against the whole sync, in this process.
const SECRETS = /operator-token|Ali Hassan|please check/

const signal = new AbortController().signal

t.test('from nothing running to everything, stuck and repaired', async (t) => {
  const { environment, simulator, clinicSql, portalSql, startIngress, startConsumers } = await world(t)
  await declareBroker({ url: environment.RABBITMQ_URL })
  const ask = async () => {
    const { out, text } = paper()
    const code = await statusCommand({ environment, json: true, out, signal })
    t.notMatch(text(), SECRETS)
    return { code, status: JSON.parse(text()) as SyncStatus }
  }
  const lines = async () => {
    const { out, text } = paper()
    await statusCommand({ environment, json: false, out, signal })
    t.notMatch(text(), SECRETS)
    return text()
  }

  await clinicSql(
    "INSERT INTO dbo.AlignerDoctors (DoctorName) VALUES (N'Dr. Layla'); INSERT INTO dbo.tblpatients (PatientName) VALUES (N'Ali Hassan')",
  )
  const alone = await ask()
  t.equal(alone.code, 1)
  t.match(alone.status, {
    ok: false,
    ingress: { reachable: false, reason: /^No ingress answers at http:\/\/127\.0\.0\.1:9\.$/ },
    outboxes: { clinic: { reachable: true, rows: { Pending: 2 } }, portal: { rows: { Pending: 0 } } },
    queues: { reachable: true },
  })
  t.match(await lines(), /INGRESS cannot be asked: .*by itself/)

  // The ingress sends; nobody applies.
  const { ingress } = await startIngress()
  const seen: SyncStatus[] = []
  const watching = new AbortController()
  const watch = watchCommand({
    environment,
    json: true,
    out: { write: (text: string) => seen.push(JSON.parse(text) as SyncStatus) > 0 },
    signal: watching.signal,
  })
  t.teardown(() => watching.abort())
  const last = () => seen.at(-1)
  await until('it is queued, and the doorbells are heard', () => {
    const { ingress } = last() ?? {}
    const heard = ingress?.reachable === true && Object.values(ingress.doorbells).every((bell) => bell.heard === true)
    return heard && rowsOf(last()).Queued === 1
  })
  t.match(last()?.problems, [/Nobody takes the events sql-to-postgres, 1 is waiting/, /postgres-to-sql/])

  await startConsumers()
  await until('all is well', () => last()?.ok === true && rowsOf(last()).Queued === 0)
  t.match(last(), {
    problems: [],
    ingress: {
      lead: 'leads',
      leader: { pid: process.pid },
      doorbells: { clinic: { heard: true }, portal: { heard: true } },
    },
    outboxes: { clinic: { rows: { Synced: 2 }, last: { table: 'aligner_doctors' } } },
    deadLetters: { letters: 0 },
  })
  const asked = await ask()
  t.equal(asked.code, 0)
  t.match(await lines(), /^In sync: nothing is on its way\./)

  // While nothing happens nobody is asked, however many watch.
  // RabbitMQ is asked every 5 s, and may tell of what has just been.
  let quiet = Date.now()
  for (let shown = seen.length; Date.now() - quiet < 5_500; await new Promise((resolve) => setTimeout(resolve, 50))) {
    if (seen.length !== shown) quiet = Date.now()
    shown = seen.length
  }
  const [queries, shown] = [simulator.queries(), seen.length]
  await new Promise((resolve) => setTimeout(resolve, 1_500))
  t.equal(simulator.queries(), queries)
  t.equal(seen.length, shown)

  // A doctor with an address that another one has: dead, and seen so.
  await clinicSql("UPDATE dbo.AlignerDoctors SET DoctorEmail = N'a@example.org'")
  await portalSql(
    "BEGIN; SET LOCAL sync.applying = 'on'; INSERT INTO aligner_doctors (dr_id, doctor_name, doctor_email) VALUES (99, 'x', 'b@example.org'); COMMIT",
  )
  await portalSql('ALTER TABLE aligner_doctors ADD CONSTRAINT short CHECK (length(doctor_name) < 12)')
  await clinicSql("UPDATE dbo.AlignerDoctors SET DoctorName = N'Dr. Layla Haddad'")
  await until('it has failed', () => rowsOf(last()).Failed === 1)
  await until(
    'the letter is seen',
    () => last()?.deadLetters.reachable === true && JSON.stringify(last()?.deadLetters).includes('23514'),
  )
  t.match(last(), {
    ok: false,
    problems: [/1 change of the clinic's has failed for good \(23514: 1\)/],
    deadLetters: { causes: [{ direction: 'sql-to-postgres', cause: '23514', letters: 1, superseded: 0 }] },
  })
  t.match(await lines(), /One thing needs attention:\n[^]*clinic {2}failed: 23514 1[^]*DEAD LETTERS/)

  // Cured, and sent anew.
  const said: string[] = []
  const requeue = (more: object = {}) =>
    requeueCommand({
      status: ['Failed'],
      dryRun: false,
      environment,
      say: (line) => said.push(line),
      ...more,
    })
  await portalSql('ALTER TABLE aligner_doctors DROP CONSTRAINT short')
  t.ok(await requeue({ dryRun: true, side: 'clinic' }))
  t.strictSame(said.splice(0), ["1 row of the clinic's outbox would be sent anew."])
  t.ok(await requeue())
  t.strictSame(said.splice(0), [
    "1 row of the clinic's outbox set back to Pending. Ringing the ingress …",
    'They are published.',
    "0 rows of the portal's outbox: there are none to send anew.",
  ])
  await until('it has arrived', () => rowsOf(last()).Failed === 0 && rowsOf(last()).Queued === 0)
  t.match(await portalSql('SELECT doctor_name FROM aligner_doctors WHERE dr_id <> 99'), [
    { doctor_name: 'Dr. Layla Haddad' },
  ])

  // All of it once more: the portal has it, and says so.
  t.ok(await requeue({ status: ['Synced'], side: 'clinic' }))
  await until('all are settled', () => last()?.ok === true && rowsOf(last()).Pending + rowsOf(last()).Queued === 0)

  // The ingress stops: the watch looks by itself, once, and is back with the ingress.
  const before = seen.length
  await ingress.stop()
  watching.abort()
  await watch
  t.ok(seen.length >= before)
})

const rowsOf = (status: SyncStatus | undefined) =>
  status?.outboxes.clinic.reachable === true
    ? status.outboxes.clinic.rows
    : { Pending: -1, Queued: -1, Synced: -1, Failed: -1 }

t.test('lengths of time', async (t) => {
  t.strictSame(['90s', '10m', '2h', '1d'].map(secondsOf), [90, 600, 7_200, 86_400])
  for (const wrong of ['', '10', 'm', '10 m', '1w', '-1m']) t.throws(() => secondsOf(wrong))
})

t.test(
  'an ingress that takes the connection and never answers is given up, whatever is collected meanwhile',
  async (t) => {
    const frozen = createServer(() => undefined).listen(0, '127.0.0.1')
    await once(frozen, 'listening')
    t.teardown(() => frozen.close())
    const address = frozen.address()
    const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const collecting = setInterval(collect, 100)
    t.teardown(() => clearInterval(collecting))
    const guard = new AbortController()
    const tooLong = setTimeout(() => guard.abort(new Error('not given up')), 10_000)
    t.teardown(() => clearTimeout(tooLong))
    const asked = performance.now()
    await t.rejects(askStatus({ url, token: TOKEN }, guard.signal, 1_000), { code: 'SYNC_INGRESS' })
    t.ok(performance.now() - asked < 5_000)
  },
)
