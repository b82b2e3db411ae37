import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { tables } from '@clinic-sync/mapping'
import t, { type Test } from 'tap'
import {
  childEnvironment,
  loadSampleClinic,
  nodeArguments,
  sampleClinic,
  type SampleTable,
  type SampleValue,
} from '../../src/index.ts'
import { formsOf, found, needlesOf } from './leak-search.ts'
import { OPERATOR_TOKEN, type Pipeline, preparePipeline, WEBHOOK_SECRET } from './pipeline.ts'

t.setTimeout(400_000)

/** As Slack's: who has it may send. */
const ALERT_PATH = '/services/T04711ABCD/B04711EFGH/x9Yk2mPq7RtV4wZ1'
const WEBHOOK_KEY = `whsec_${Buffer.from('a planted key of thirty-two byte').toString('base64')}`

const NEEDLES = needlesOf(sampleClinic())

t.test('the search finds what it should, in every form, and no word of ours', async (t) => {
  t.ok(NEEDLES.length > 1_500, `${NEEDLES.length} texts are looked for`)
  const patients = sampleClinic().find(({ name }) => name === 'tblpatients')?.rows ?? []
  const phones = patients.flatMap(({ Phone }) => (typeof Phone === 'string' && Phone.length > 8 ? [Phone] : []))
  for (const planted of [
    'زينب',
    'الجبوري',
    'Hussein',
    "O'Neill",
    'Rebaz.Salih@Aligners.Example',
    phones[0] ?? '',
    'attachment',
  ])
    t.ok(NEEDLES.includes(planted), planted)
  for (const word of ['patient', 'aligner', 'Lab', '7', '1000000', ''])
    t.notOk(NEEDLES.includes(word), `${word} is ordinary`)
  for (const planted of ['زينب', 'Hussein', 'samer@aligners.example', phones[0] ?? ''])
    for (const form of formsOf(planted))
      t.ok(found(`{"level":"info","msg":"x ${form} y"}\n`, NEEDLES).includes(planted), `${planted} as ${form}`)
  for (const planted of ['المريض مرتاح والنتيجة ممتازة 👍🏽', 'hussein.and.zainab@example.com'])
    for (const before of ['', 'a', 'ab'])
      t.ok(
        found(Buffer.from(`${before}${planted} and so on`).toString('base64'), [planted]).length > 0,
        'inside of base64',
      )
  t.strictSame(found('{"msg":"the patient of aligner_notes/7: 22001"}', NEEDLES), [])
})

t.test('a bundle of a clinic in trouble holds no value and no secret', async (t) => {
  const prepared = await preparePipeline(t)
  const alerts = await refusingReceiver(t)
  const own = { ALERT_WEBHOOK_URL: `${alerts.url}${ALERT_PATH}?key=x9Yk2mPq7RtV`, SYNC_WEBHOOK_KEYS: WEBHOOK_KEY }
  const pipeline = await prepared.start('trace', own)
  await makeTrouble(pipeline)
  t.equal(await startVerification(pipeline), 202)
  await pipeline.until('an alert was refused', async () => alerts.refused() > 0)
  const needles = [...new Set([...NEEDLES, ...needlesOf(await asItIsNow(pipeline))])]
  for (const planted of ['07709998877', 'الطبيب', 'العيادة', 'samer@aligners.example'])
    t.ok(needles.includes(planted), `what was edited since is looked for: ${planted}`)

  const folder = t.testdir()
  const settings = { ...settingsFor(pipeline, await healthUrls(pipeline)), ...own }
  const saved = join(folder, 'saved.log')
  // As `docker compose logs` writes it, a server's own lines among ours: those quote rows.
  const logs = await pipeline.logs()
  const services = logs.split('\n').map((line) => `ingress-1  | ${line}`)
  writeFileSync(
    saved,
    [
      ...services,
      'postgres-1  | DETAIL:  Key (doctor_email)=(samer@aligners.example) already exists.',
      '{"row": "Hussein"}',
    ].join('\n'),
  )
  const out = join(folder, 'bundle.tar.gz')
  const { code, stdout, stderr } = await command(folder, settings, ['--out', out, '--logs', saved])
  t.equal(code, 0, stdout + stderr)
  t.equal(statSync(out).mode & 0o777, 0o600)
  t.match(
    stdout,
    /Could not be had:\n  queues' arguments and policies[^\n]*port 15672/,
    'this RabbitMQ has its management elsewhere',
  )
  t.equal(stdout.split('Could not be had:')[1]?.match(/^ {2}\S/gm)?.length, 1, 'nothing else is missing')
  const files = unpack(out)
  t.match(
    [...files.keys()],
    ['README.txt', 'versions.json', 'settings.json', 'doctor.json', 'status.json', 'rabbitmq.json', 'services.json'],
  )
  const logFiles = [...files].filter(([name]) => name.startsWith('logs/'))
  t.equal(logFiles.length, 4, 'of three services, and what was saved')
  t.ok(logFiles.every(([, text]) => text.includes('"level":"debug"')))
  t.match(files.get('README.txt'), '3 other lines were left out', 'all lines of the services are in it')

  const stuck = JSON.parse(files.get('stuck.json') ?? '') as Stuck
  const codes = new Set(stuck.deadLetters.map(({ code }) => code))
  for (const each of ['22001', '23514', 'P0001', 'SYNC_BAD_VALUE'])
    t.ok(codes.has(each), `there is one of ${each}: ${[...codes]}`)
  const troubles = stuck.deadLetters.flatMap(({ columns }) => columns ?? []).flatMap(({ trouble }) => trouble)
  t.ok(
    troubles.includes('255 characters into character varying(60): 195 too many'),
    'what is too long is told by its length',
  )
  t.ok(stuck.records.length > 0, 'and so are the records behind failed rows')
  t.match(files.get('outboxes.json'), /"code": "23505"/)
  t.match(JSON.parse(files.get('status.json') ?? ''), { verification: { reachable: true } })
  t.match(JSON.parse(files.get('conflicts.json') ?? ''), { rulings: [{ table: 'aligner_notes', ruling: String }] })
  t.match(JSON.parse(files.get('history.json') ?? ''), { minutes: [{ changes: Number }] })
  t.match(JSON.parse(files.get('services.json') ?? ''), { ingress: { versions: { node: process.version } } })

  const all = [...files].map(([name, text]) => `${name}\n${text}`).join('\n')
  t.strictSame(found(all, needles), [], 'no value of the clinic')
  t.strictSame(found(stdout + stderr, needles), [], 'nor on the terminal')
  t.strictSame(found(logs, needles), [], 'nor in all that the services have logged')
  const secrets = secretsOf(settings)
  t.ok(secrets.length >= 12, `${secrets.length} secrets are looked for`)
  t.strictSame(found(all, secrets), [], 'no secret')
  t.strictSame(found(logs, secrets), [], 'nor in the logs')

  // A line in our shape is taken as ours: what is planted in one must be found, or the search proves nothing. Secrets are cut even there.
  const base64 = Buffer.from('Rebaz.Salih@Aligners.Example').toString('base64')
  const msg = [`about Hussein and ${encodeURIComponent('الجبوري')} ${base64}`, ...secrets.flatMap(planting)].join(' ')
  const line = { level: 'info', time: '2026-01-02T03:04:05.678Z', name: 'ingress', msg }
  writeFileSync(saved, `${JSON.stringify(line)}\n`)
  t.strictSame(found(readFileSync(saved, 'utf8'), secrets), secrets)
  await command(folder, settings, ['--out', out, '--logs', saved])
  const planted = [...unpack(out).values()].join('\n')
  t.strictSame(
    new Set(found(planted, needles)),
    new Set(['Hussein', 'الجبوري', 'Rebaz.Salih@Aligners.Example']),
    'the search can fail',
  )
  t.strictSame(found(planted, secrets), [], 'secrets are cut even there')
})

interface Stuck {
  readonly deadLetters: { readonly code: string; readonly columns?: { readonly trouble: string[] }[] | null }[]
  readonly records: object[]
}

/** Without a single row settled for so long, nothing moves any more: a whole clinic takes its time where others use the processor. */
const STILL_MS = 45_000

/** Waits until all is done but what waits for its next retry: children of a record that cannot arrive do so for minutes. */
async function calm({ clinic, portal }: Pipeline): Promise<void> {
  const open = "Status = 'Pending' OR (Status = 'Queued' AND LastError IS NULL)"
  let [left, since] = [-1, performance.now()]
  while (left !== 0) {
    const { recordset } = await clinic.request().query(`SELECT COUNT(*) AS n FROM dbo.SyncQueue WHERE ${open}`)
    const { rows } = await portal.query(
      `SELECT count(*)::int AS n FROM sync.queue WHERE ${open.replace('LastError', 'last_error')}`,
    )
    const now = Number(recordset[0]?.n) + Number(rows[0]?.n)
    if (now !== left) since = performance.now()
    else if (performance.now() - since > STILL_MS) throw new Error(`${now} rows do not move`)
    left = now
    if (left !== 0) await delay(50)
  }
}

/** The sample clinic, with failures of every kind on both ways, conflicts, and databases that go away. */
async function makeTrouble(pipeline: Pipeline): Promise<void> {
  const { clinic, portal, simulator } = pipeline
  const run = (sql: string) => clinic.request().query(sql)
  await portal.query('ALTER TABLE patients ALTER COLUMN patient_name TYPE varchar(60)')
  await portal.query("ALTER TABLE aligner_sets ADD CONSTRAINT short_type CHECK (type IS DISTINCT FROM 'تعديل')")
  await portal.query(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'refused: %', NEW.note_text USING DETAIL = NEW::text, HINT = NEW.note_text; END $$`)
  await portal.query(`CREATE TRIGGER refuse BEFORE INSERT ON aligner_notes FOR EACH ROW WHEN (NEW.note_text LIKE 'Lost aligner%')
    EXECUTE FUNCTION refuse()`)
  await loadSampleClinic(clinic)
  await calm(pipeline)
  await run("UPDATE dbo.AlignerDoctors SET DoctorEmail = N'samer@aligners.example' WHERE DrID = 2")
  await run('ALTER TABLE dbo.tblAlignerBatches ADD CONSTRAINT CK_days CHECK (Days < 1000)')
  await portal.query(
    'UPDATE aligner_batches SET days = 4242 WHERE aligner_batch_id = (SELECT min(aligner_batch_id) FROM aligner_batches)',
  )
  await calm(pipeline)
  // Both edit one note at once, until they have met.
  const [note] = (
    await portal.query<{ note_id: number }>(
      "SELECT note_id FROM aligner_notes WHERE note_type = 'Doctor' ORDER BY 1 LIMIT 1",
    )
  ).rows
  await pipeline.until('there is a conflict', async () => {
    await Promise.all([
      portal.query("UPDATE aligner_notes SET note_text = 'من الطبيب ' || clock_timestamp() WHERE note_id = $1", [
        note?.note_id,
      ]),
      run(
        `UPDATE dbo.tblAlignerNotes SET NoteText = N'من العيادة ${performance.now()}' WHERE NoteID = ${note?.note_id}`,
      ),
    ])
    const { recordset } = await run('SELECT COUNT(*) AS n FROM sync.Conflicts')
    return Number(recordset[0]?.n) > 0
  })
  simulator.dropConnections()
  await portal.query(
    'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
  )
  await pipeline.until('the clinic answers again', () =>
    run("UPDATE dbo.tblpatients SET Phone = N'07709998877' WHERE PersonID = 20").then(
      () => true,
      () => false,
    ),
  )
  await calm(pipeline)
}

/** Has the ingress compare both sides, which differ; it waits for what is on its way, which takes longer than the bundle. */
async function startVerification({ ingressUrl }: Pipeline): Promise<number> {
  const headers = { authorization: `Bearer ${OPERATOR_TOKEN}`, 'content-type': 'application/json' }
  return (await fetch(`${ingressUrl}/api/sync/verifications`, { method: 'POST', headers, body: '{}' })).status
}

/** What both sides hold now, and what a ruling has taken away. */
async function asItIsNow({ clinic, portal }: Pipeline): Promise<SampleTable[]> {
  const clinics = [...sampleClinic().map(({ name }) => `SELECT * FROM dbo.${name}`), RULED_VALUES]
  const portals = tables.map(({ name }) => `SELECT * FROM ${name}`)
  const read = [
    ...(await Promise.all(clinics.map(async (sql) => (await clinic.request().query(sql)).recordset))),
    ...(await Promise.all(portals.map(async (sql) => (await portal.query<Record<string, unknown>>(sql)).rows))),
  ]
  const plain = (value: unknown) => (value instanceof Date ? value.toISOString() : (value as SampleValue))
  return read.map((rows: Record<string, unknown>[]) => ({
    name: '',
    key: '',
    rows: rows.map((row) => Object.fromEntries(Object.entries(row).map(([column, value]) => [column, plain(value)]))),
  }))
}
const RULED_VALUES = 'SELECT ClinicValue, PortalValue FROM sync.Conflicts'

/** Takes alerts, and is never content. */
async function refusingReceiver(t: Test) {
  let refused = 0
  const server = createServer((request, response) => {
    refused++
    request.resume().on('end', () => response.writeHead(500).end())
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { refused: () => refused, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

/** Where the consumers answer, as they say it in their logs. */
async function healthUrls(pipeline: Pipeline): Promise<string> {
  return [...(await pipeline.logs()).matchAll(/"health":"(http:[^"]+)"/g)].map(([, url]) => url).join(',')
}

const settingsFor = (pipeline: Pipeline, health: string): Record<string, string> => ({
  SQLSERVER_URL: pipeline.simulator.serviceUrl,
  SQLSERVER_ADMIN_URL: pipeline.simulator.url,
  POSTGRES_URL: pipeline.portalUrl,
  RABBITMQ_URL: pipeline.rabbitUrl,
  SYNC_WEBHOOK_SECRET: WEBHOOK_SECRET,
  SYNC_OPERATOR_TOKEN: OPERATOR_TOKEN,
  INGRESS_URL: pipeline.ingressUrl,
  HEALTH_URLS: health,
})

/** Every setting that is secret, whole and in its parts. Not passwords that are words: `guest` is in every text about RabbitMQ. */
function secretsOf(settings: Readonly<Record<string, string>>): string[] {
  const urls = ['SQLSERVER_URL', 'SQLSERVER_ADMIN_URL', 'POSTGRES_URL', 'RABBITMQ_URL', 'ALERT_WEBHOOK_URL'].map(
    (name) => settings[name] ?? '',
  )
  const passwords = urls.map((url) => decodeURIComponent(new URL(url).password))
  return [
    ...new Set([
      OPERATOR_TOKEN,
      WEBHOOK_SECRET,
      WEBHOOK_KEY,
      ...urls,
      ...passwords.filter((password) => password.length >= 8 && !/^[a-z]+$/.test(password)),
      ALERT_PATH,
      ...ALERT_PATH.split('/').filter((part) => part.length > 8),
      'x9Yk2mPq7RtV',
    ]),
  ]
}

/** A secret in full, in every form: also as the end and the middle of something else in base64, such as a `Basic` login. */
const planting = (secret: string): string[] => [
  secret,
  JSON.stringify({ secret }),
  encodeURIComponent(secret),
  ...['', 'u', 'u:'].flatMap((before) =>
    [secret, `${secret} and so on`].map((text) => Buffer.from(before + text).toString('base64')),
  ),
]

async function command(folder: string, settings: Readonly<Record<string, string>>, args: readonly string[]) {
  const child = spawn(process.execPath, [...nodeArguments('packages/cli/src/main.ts'), 'support-bundle', ...args], {
    cwd: folder,
    env: { ...childEnvironment(settings), npm_lifecycle_event: '' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, stdout, stderr }
}

/** The files of an archive, as tar itself unpacks it. */
function unpack(archive: string): Map<string, string> {
  const folder = mkdtempSync(`${archive}-`)
  execFileSync('tar', ['-xzf', archive, '-C', folder])
  const names = execFileSync('tar', ['-tzf', archive], { encoding: 'utf8' }).trim().split('\n')
  return new Map(names.map((name) => [name, readFileSync(join(folder, name), 'utf8')]))
}
