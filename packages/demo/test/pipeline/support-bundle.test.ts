import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { childEnvironment, loadSampleClinic, nodeArguments, sampleClinic } from '../../src/index.ts'
import { formsOf, found, needlesOf } from './leak-search.ts'
import { OPERATOR_TOKEN, type Pipeline, preparePipeline, WEBHOOK_SECRET } from './pipeline.ts'

t.setTimeout(400_000)

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
  const pipeline = await prepared.start('trace')
  await makeTrouble(pipeline)
  const folder = t.testdir()
  const settings = settingsFor(pipeline, await healthUrls(pipeline))

  const saved = join(folder, 'saved.log')
  // As `docker compose logs` writes it, a server's own lines among ours: those quote rows.
  const services = (await pipeline.logs()).split('\n').map((line) => `ingress-1  | ${line}`)
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
  const logs = [...files].filter(([name]) => name.startsWith('logs/'))
  t.equal(logs.length, 4, 'of three services, and what was saved')
  t.ok(logs.every(([, text]) => text.includes('"level":"debug"')))

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

  const all = [...files].map(([name, text]) => `${name}\n${text}`).join('\n')
  t.strictSame(found(all, NEEDLES), [], 'no value of the sample clinic')
  t.strictSame(found(stdout + stderr, NEEDLES), [], 'nor on the terminal')
  const secrets = [OPERATOR_TOKEN, WEBHOOK_SECRET, ...Object.values(settings).flatMap(passwordsIn)]
  t.strictSame(found(all, secrets), [], 'no secret')

  // A line in our shape is taken as ours: what is planted in one must be found, or the search proves nothing.
  writeFileSync(saved, '{"level":"info","time":"2026-01-02T03:04:05.678Z","name":"ingress","msg":"about Hussein"}\n')
  await command(folder, settings, ['--out', out, '--logs', saved])
  t.strictSame(found([...unpack(out).values()].join('\n'), NEEDLES), ['Hussein'], 'the search can fail')
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

/** Passwords that are no words; `guest` is in every text about RabbitMQ. */
function passwordsIn(setting: string): string[] {
  const password = URL.canParse(setting) ? decodeURIComponent(new URL(setting).password) : ''
  return password.length < 8 || /^[a-z]+$/.test(password) ? [] : [password]
}

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
