import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { SERVICE_PASSWORD } from '@clinic-sync/sqlserver-simulator'
import t from 'tap'
import { type Diagnosis, doctor } from '../src/doctor/doctor.ts'
import { gated } from './support/gate.ts'
import { world } from './support/whole-sync.ts'

// The doctor against the whole sync: all is well; then one fault after the other, and each is named.

const wrong = ({ checks }: Diagnosis) =>
  checks.filter(({ status }) => status !== 'ok').map(({ id, status }) => `${status} ${id}`)
const named = ({ checks }: Diagnosis, id: string) => checks.find((check) => check.id === id)

/** `npm run sync -- doctor`, as an operator runs it. */
async function command(
  environment: Record<string, string>,
  ...options: string[]
): Promise<{ text: string; code: number | null }> {
  const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))
  const node = [
    `--import=${import.meta.resolve('tsx')}`,
    '--conditions=@clinic-sync/source',
    main,
    'doctor',
    ...options,
  ]
  const child = spawn(process.execPath, node, { cwd: tmpdir(), env: { ...process.env, ...environment } })
  let text = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (part: string) => (text += part))
  const [code] = (await once(child, 'close')) as [number | null]
  return { text, code }
}

/** Asks again until the services have settled: a consumer takes its queues a moment after it has started. */
async function until(
  environment: Record<string, string>,
  holds: (diagnosis: Diagnosis) => boolean,
): Promise<Diagnosis> {
  const deadline = Date.now() + 20_000
  for (;;) {
    const diagnosis = await doctor(environment)
    if (holds(diagnosis) || Date.now() > deadline) return diagnosis
    await delay(50)
  }
}

t.test('the whole sync', async (t) => {
  const here = await world(t)
  const { environment, simulator, clinicSql: clinic, portalSql: portal } = here
  // To whom comes by it, and it is shut, the server has stopped.
  const rabbit = await gated(t, environment.RABBITMQ_URL)
  Object.assign(environment, {
    RABBITMQ_URL: rabbit.url,
    SYNC_WEBHOOK_SECRET: 'PLANTED webhook secret',
    SYNC_OPERATOR_TOKEN: 'PLANTED-operator-token',
  })
  await here.startIngress()
  await here.startConsumers()
  const outboxes = async () => [
    await portal('SELECT count(*) AS n FROM sync.queue'),
    await clinic('SELECT COUNT(*) AS n FROM dbo.SyncQueue'),
  ]
  const before = await outboxes()

  const well = await until(environment, ({ ok }) => ok)
  // The simulator's tables lack indexes, and the portal's login here is the owner's: said, and no failure.
  t.same(
    wrong(well).filter((each) => !each.startsWith('warn clinic.index.')),
    ['warn portal.least-privilege'],
  )
  for (const side of ['clinic', 'portal'] as const)
    t.match(named(well, `doorbells.${side}.heard`), { status: 'ok', found: /^in \d+ ms/ }, `${side}: rung and heard`)
  t.ok(well.checks.length > 35, `${well.checks.length} checks`)

  await t.test('a trigger switched off, a migration missing, on either side', async (t) => {
    await clinic('DISABLE TRIGGER dbo.trg_sync_tblpatients ON dbo.tblpatients')
    await clinic("DELETE FROM sync.Migrations WHERE Name = N'05_sync_apply.sql'")
    await portal('ALTER TABLE public.aligner_notes DISABLE TRIGGER "00_sync_capture_update"')
    await portal("DELETE FROM sync.migrations WHERE name = '03_sync_outbox.sql'")
    const sick = await doctor(environment)
    t.same(
      wrong(sick)
        .filter((each) => each.startsWith('fail'))
        .sort(),
      [
        'fail clinic.capture.trg_sync_tblpatients',
        'fail clinic.migrations',
        'fail portal.capture.aligner_notes.00_sync_capture_update',
        'fail portal.migrations',
      ],
    )
    t.match(named(sick, 'clinic.capture.trg_sync_tblpatients'), {
      todo: /^ENABLE TRIGGER dbo\.\[trg_sync_tblpatients\] ON dbo\.\[tblpatients\];/,
    })
    t.match(named(sick, 'clinic.migrations'), {
      found: 'missing: 05_sync_apply.sql',
      todo: 'npm run sync -- migrate clinic',
    })
    t.match(named(sick, 'portal.migrations'), {
      found: 'missing: 03_sync_outbox.sql',
      todo: 'npm run sync -- migrate portal',
    })
    await clinic('ENABLE TRIGGER dbo.trg_sync_tblpatients ON dbo.tblpatients')
    await portal('ALTER TABLE public.aligner_notes ENABLE TRIGGER "00_sync_capture_update"')
  })

  await t.test('secrets that are not those of the ingress', async (t) => {
    const sick = await doctor({
      ...environment,
      SYNC_WEBHOOK_SECRET: 'PLANTED, another',
      SYNC_OPERATOR_TOKEN: 'PLANTED-a-third-one',
    })
    t.match(named(sick, 'ingress.webhook-secret'), { status: 'fail', todo: /SYNC_WEBHOOK_SECRET/ })
    t.match(named(sick, 'ingress.operator-token'), { status: 'fail', todo: /SYNC_OPERATOR_TOKEN/ })
    t.notOk(named(sick, 'doorbells.clinic.heard'), 'could not be asked')
  })

  await t.test('a database older than what the other side has seen', async (t) => {
    await portal("INSERT INTO sync.row_state (table_name, record_id, clinic_version) VALUES ('work', 1, 4711)")
    const sick = await doctor(environment)
    t.match(named(sick, 'clinic.restored'), {
      status: 'fail',
      found: /the other side has had 4711/,
      todo: /npm run sync -- after-restore/,
    })
    t.equal(named(sick, 'portal.restored')?.status, 'ok')
  })

  await t.test('a clinic that hangs hides nothing else', async (t) => {
    simulator.pause()
    const sick = await doctor(environment, 4_000)
    simulator.resume()
    t.match(named(sick, 'clinic.reachable'), { status: 'fail', found: /did not answer within 4 s.*Left out/ })
    t.same(
      sick.checks.filter(({ id }) => /^(clinic|doorbells\.clinic)\./.test(id)).map(({ id }) => id),
      ['clinic.reachable'],
    )
    t.equal(named(sick, 'portal.reachable')?.status, 'ok')
  })

  await t.test('RabbitMQ stopped', async (t) => {
    await rabbit.shut()
    const sick = await until(environment, (diagnosis) => named(diagnosis, 'ingress.ready')?.status === 'fail')
    t.match(named(sick, 'broker.reachable'), { status: 'fail', found: /ECONNREFUSED/, todo: /^Start RabbitMQ/ })
    t.same(sick.checks.filter(({ area }) => area === 'broker').length, 1, 'one fail, not thirty')
    t.match(named(sick, 'ingress.ready'), { found: /rabbitmq|broker/i })
    t.match(named(sick, 'clinic.reachable'), { status: 'ok' }, 'one area hides no other')
    t.match(named(sick, 'doorbells.clinic.heard'), {
      status: 'fail',
      found: /RabbitMQ.*nobody hears/,
      todo: /^Do first what else fails/,
    })

    const [asJson, { text, code }] = await Promise.all([command(environment, '--json'), command(environment)])
    t.match(JSON.parse(asJson.text), { ok: false, checks: [{ id: 'settings.well-formed' }] })
    t.match(text, /\n {5}broker: RabbitMQ: connect ECONNREFUSED/)
    t.same([code, asJson.code], [1, 1])
    t.notMatch(asJson.text + text, /PLANTED|guest:guest/, 'no secret, no credentials')
    t.notOk((asJson.text + text).includes(SERVICE_PASSWORD))
    t.notOk(text.includes('\u001b'), 'no colour where nobody sees it')
  })

  t.same(await outboxes(), before, 'nothing that syncs was written')
})
