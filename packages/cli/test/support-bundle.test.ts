import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { makeBundle } from '../src/support-bundle/bundle.ts'
import { bundleName, placeFor, writeBundle } from '../src/support-bundle/write.ts'

t.setTimeout(400_000)

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url))
const NODE = [`--import=${import.meta.resolve('tsx')}`, '--conditions=@clinic-sync/source', MAIN]
const SECRETS = {
  SYNC_WEBHOOK_SECRET: 'planted-webhook-secret-4711',
  SYNC_OPERATOR_TOKEN: 'planted-operator-token-4711',
}
const PASSWORD = 'planted%2Bpassword4711'
const NEVER = new AbortController().signal

/** Every server at this port: one that is shut, or one that hangs. */
const settingsAt = (port: number): Record<string, string> => ({
  SQLSERVER_URL: `mssql://user-name:${PASSWORD}@127.0.0.1:${port}/clinic?encrypt=false`,
  POSTGRES_URL: `postgres://user-name:${PASSWORD}@127.0.0.1:${port}/portal?application_name=planted4711`,
  RABBITMQ_URL: `amqp://user-name:${PASSWORD}@127.0.0.1:${port}/vhost`,
  INGRESS_URL: `http://127.0.0.1:${port}/planted-path-4711`,
  HEALTH_URLS: `http://127.0.0.1:${port}`,
  ALERT_WEBHOOK_URL: `https://planted-host-4711.a.example.net/planted/path-4711?planted-name-4711=planted-4711`,
  OTHER_PASSWORD: 'planted-of-others-4711',
  ...SECRETS,
})

/** Takes connections, and says nothing. */
async function mute(t: Test): Promise<number> {
  const server: Server = createServer((socket) => socket.on('error', () => undefined).resume()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return (server.address() as AddressInfo).port
}

async function shut(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

function start(cwd: string, args: readonly string[], environment: Readonly<Record<string, string>>) {
  const own = Object.entries(process.env).filter(([name]) => !/^npm_|_URLS?$/i.test(name))
  return spawn(process.execPath, [...NODE, 'support-bundle', ...args], {
    cwd,
    env: { ...Object.fromEntries(own), ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

t.test('nobody answers: each part says so, the rest is there, and no secret is', async (t) => {
  const port = await shut()
  const environment = settingsAt(port)
  const { entries, missing, content } = await makeBundle({ environment, version: '1.2.3', logs: [], signal: NEVER })
  t.ok(content.length > 1_000)
  const files = new Map(entries.map(({ path, text }) => [path, text]))
  t.strictSame([...files.keys()].sort(), [
    'README.txt',
    'doctor.json',
    'outboxes.json',
    'services.json',
    'settings.json',
    'status.json',
    'stuck.json',
    'versions.json',
  ])
  for (const what of [
    "SQL Server's version and migrations",
    "Postgres' version and migrations",
    "RabbitMQ's version",
    'rabbitmq.json',
    'ingress (state, log, metrics)',
    `127.0.0.1:${port} (state, log, metrics)`,
    "rows of the clinic's outbox",
    "rows of the portal's outbox",
    'the dead letters',
  ])
    t.ok(
      missing.some((each) => each.what === what && each.why.length > 20),
      `${what} is missing, and why`,
    )
  for (const { why } of missing) t.notMatch(why, /unforeseen/)
  const readme = files.get('README.txt') ?? ''
  t.match(readme, /No value of a patient is in here/)
  for (const path of files.keys()) if (path !== 'README.txt') t.match(readme, `  ${path}: `)
  for (const { what } of missing) t.match(readme, `  ${what}: `)
  const settings = JSON.parse(files.get('settings.json') ?? '') as { settings: Record<string, object> }
  t.match(settings.settings, {
    SQLSERVER_URL: { scheme: 'mssql', host: '127.0.0.1', port, database: 'clinic', parameters: ['encrypt'] },
    POSTGRES_URL: { parameters: ['application_name'] },
    INGRESS_URL: { scheme: 'http', pathParts: 1 },
    ALERT_WEBHOOK_URL: { scheme: 'https', host: '…example.net', pathParts: 2, parameters: 1 },
    SYNC_OPERATOR_TOKEN: { given: 'by value', length: '16 to 31' },
    LOG_LEVEL: { given: 'no', value: 'info' },
  })
  t.notMatch(entries.map(({ text }) => text).join('\n'), /4711|user-name/)
})

t.test('without a single setting: what is missing is named', async (t) => {
  const { entries, missing } = await makeBundle({ environment: {}, version: '1.2.3', logs: [], signal: NEVER })
  const settings = entries.find(({ path }) => path === 'settings.json')?.text ?? ''
  t.match(JSON.parse(settings), { settings: { POSTGRES_URL: { given: 'no', wrong: /^POSTGRES_URL is missing/ } } })
  t.ok(entries.some(({ path }) => path === 'doctor.json'))
  t.match(
    missing.find(({ what }) => what === 'rabbitmq.json')?.why,
    /RABBITMQ_URL: missing or wrong, see settings\.json/,
  )
  t.match(
    missing.find(({ what }) => what.startsWith('the consumers')),
    { why: /HEALTH_URLS is not set/ },
  )
})

t.test(
  'who answers something else, or is of an older version, is told so; a log that can be had is there',
  async (t) => {
    const line = '{"level":"info","time":"2026-01-02T03:04:05.678Z","name":"ingress","msg":"x"}'
    const minute = {
      at: '2026-01-02T03:04:00.000Z',
      direction: 'sql-to-postgres',
      changes: 3,
      medianMs: 9,
      worstMs: 12,
    }
    const answers: Record<string, [number, string]> = {
      '/readyz': [503, '{"status":"not ready","checks":{"clinic":"it does not answer"},"row":"planted-4711"}'],
      '/metrics': [401, ''],
      '/api/sync/logs': [200, `${line}\nplanted-4711\n`],
      '/api/sync/history?hours=24': [200, JSON.stringify({ startedAt: minute.at, minutes: [minute] })],
      '/api/sync/conflicts?max=200': [200, '{"planted":4711}'],
      '/logs': [403, ''],
    }
    const server = createHttpServer((request, response) => {
      const [status, text] = answers[request.url ?? ''] ?? [404, 'planted-4711']
      response.writeHead(status).end(text)
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.teardown(() => server.close())
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const environment = { INGRESS_URL: url, HEALTH_URLS: url, ...SECRETS }
    const { entries, missing } = await makeBundle({ environment, version: '1.2.3', logs: [], signal: NEVER })
    const files = new Map(entries.map(({ path, text }) => [path, text]))
    t.equal(files.get('logs/ingress.jsonl'), `${line}\n`)
    t.match(JSON.parse(files.get('history.json') ?? ''), { minutes: [minute] })
    t.notOk(files.has('conflicts.json'))
    t.match(files.get('services.json'), 'it does not answer')
    const why = (what: string) => missing.find((each) => each.what.startsWith(what))?.why
    t.match(why('the metrics of ingress'), /answered 401: it has another SYNC_OPERATOR_TOKEN/)
    t.match(why('the rulings'), /not understood/)
    t.match(why("the ingress's versions"), /answered 404: it is of an older version/)
    t.match(why('the log of 127.0.0.1'), /answered 403: name it by an address.*--logs FILE/)
    t.notMatch(entries.map(({ text }) => text).join('\n'), /4711/)
  },
)

t.test('--out -: the archive is all that standard output gets', async (t) => {
  const folder = t.testdir({
    'saved.log': 'ingress-1 | {"level":"info","time":"2026-01-02T03:04:05.678Z","name":"ingress","msg":"x"}\n',
  })
  const child = start(folder, ['--out', '-', '--logs', 'saved.log', 'none.log'], settingsAt(await shut()))
  const chunks: Buffer[] = []
  let said = ''
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  t.strictSame(await once(child, 'close'), [0, null])
  const archive = `${mkdtempSync(join(folder, 'archive-'))}/a.tar.gz`
  writeFileSync(archive, Buffer.concat(chunks))
  const names = execFileSync('tar', ['-tzf', archive], { encoding: 'utf8' }).trim().split('\n')
  t.equal(names[0], 'README.txt')
  t.ok(names.includes('logs/given-1.jsonl'))
  t.match(said, /Standard output: \d+ kB, \d+ files:\n {2}README\.txt: /)
  t.match(said, /Could not be had:\n/)
  t.match(said, /file 2 of --logs: It cannot be read \(ENOENT\)/)
  t.strictSame(readdirSync(folder).sort(), [archive.split('/').at(-2), 'saved.log'].sort(), 'nothing else is left')
})

t.test('--out - into a pipe that nobody reads any more is said in a sentence', async (t) => {
  const child = start(t.testdir({}), ['--out', '-'], settingsAt(await shut()))
  child.stdout.destroy()
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  t.strictSame(await once(child, 'close'), [1, null])
  t.match(said, /Whoever was to read the archive from standard output has gone away/)
  t.notMatch(said, /EPIPE|at .*node:/)
})

t.test('Ctrl-C, while servers that hang are waited for: it ends, and leaves nothing', async (t) => {
  const folder = t.testdir({})
  const child = start(folder, [], settingsAt(await mute(t)))
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text
    if (text.includes('Asking')) child.kill('SIGINT')
  })
  t.strictSame(await once(child, 'close'), [130, null])
  t.match(said, /Interrupted: nothing was written/)
  t.strictSame(readdirSync(folder), [])
})

t.test('servers that take connections and hang do not hold it up for long', async (t) => {
  const folder = t.testdir({})
  const began = performance.now()
  const child = start(folder, [], settingsAt(await mute(t)))
  child.stdout.resume()
  t.strictSame(await once(child, 'close'), [0, null])
  t.ok(performance.now() - began < 120_000, `${Math.round((performance.now() - began) / 1000)} s`)
  const [name = ''] = readdirSync(folder)
  t.match(name, /^clinic-sync-support-\d{4}-\d\d-\d\d-\d{6}\.tar\.gz$/)
  t.equal(statSync(join(folder, name)).mode & 0o777, 0o600)
})

t.test('where it cannot go is said before anybody is asked', async (t) => {
  const at = new Date('2026-11-23T18:45:07Z')
  const folder = t.testdir({ file: '' })
  t.equal(bundleName(at), 'clinic-sync-support-2026-11-23-184507.tar.gz')
  t.equal(placeFor(folder, at, undefined), join(folder, bundleName(at)), 'a folder')
  t.equal(placeFor(join(folder, 'x'), at, undefined), join(folder, 'x'))
  t.throws(() => placeFor(join(folder, 'none', 'x'), at, undefined), {
    code: 'SYNC_USAGE',
    message: /name another with --out/,
  })
  t.throws(() => placeFor(undefined, at, 'docker compose run --rm sync'), {
    code: 'SYNC_USAGE',
    message: /run --rm -T sync support-bundle --out - >/,
  })
  const child = start(folder, ['--out', '-'], { npm_lifecycle_event: 'sync' })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  t.strictSame(await once(child, 'close'), [1, null])
  t.match(said, /npm run --silent sync --/)
})

t.test('it is written whole or not at all, for its owner alone', async (t) => {
  const folder = t.testdir({ taken: { by: 'a folder' } })
  const file = join(folder, 'b.tar.gz')
  await writeBundle(file, Buffer.from('one'), NEVER)
  await writeBundle(file, Buffer.from('two'), NEVER)
  t.equal(readFileSync(file, 'utf8'), 'two')
  t.equal(statSync(file).mode & 0o777, 0o600)
  await t.rejects(writeBundle(join(folder, 'taken'), Buffer.from('three'), NEVER))
  await t.rejects(writeBundle(file, Buffer.from('four'), AbortSignal.abort()))
  t.equal(readFileSync(file, 'utf8'), 'two')
  t.strictSame(readdirSync(folder).sort(), ['b.tar.gz', 'taken'])
})
