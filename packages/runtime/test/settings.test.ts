import { writeFileSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import { SyncError } from '@clinic-sync/sync'
import t from 'tap'
import { parseProxies, readSettings, SETTINGS, withEnvFile, type SettingName } from '../src/index.ts'

const names = Object.keys(SETTINGS) as SettingName[]
const example = await readFile(new URL('../../../.env.example', import.meta.url), 'utf8')

const KEY = `whsec_${'A'.repeat(43)}=`

const complaint = (read: () => unknown): SyncError => {
  try {
    read()
  } catch (error) {
    if (error instanceof SyncError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

t.test('.env.example explains every setting, in a comment above it, and shows the defaults', async (t) => {
  const values = parseEnv(example)
  for (const name of names) {
    t.match(example, new RegExp(`^(#.*\\n)([A-Z_]+=.*\\n)*${name}=`, 'm'), `${name} is explained`)
    const setting = SETTINGS[name]
    if ('fallback' in setting) t.equal(values[name], String(setting.fallback), `${name} shows its default`)
  }
  // What belongs to docker-compose.yml alone stands behind a #.
  t.strictSame(new Set(Object.keys(values)), new Set(names))
})

t.test('the addresses in .env.example are valid', async (t) => {
  const urls = readSettings(['SQLSERVER_URL', 'POSTGRES_URL', 'RABBITMQ_URL'], parseEnv(example))
  t.match(urls.SQLSERVER_URL, /^mssql:/)
})

t.test('defaults apply, numbers are numbers, what was not asked for may be wrong', async (t) => {
  t.strictSame(
    readSettings(['INGRESS_PORT', 'LOG_LEVEL', 'HEALTH_PORT'], { INGRESS_PORT: ' 8080 ', RABBITMQ_URL: 'x' }),
    {
      INGRESS_PORT: 8080,
      LOG_LEVEL: 'info',
      HEALTH_PORT: 0,
    },
  )
})

t.test('a missing or wrong setting is named in one sentence, without its value', async (t) => {
  const cases: [SettingName, string | undefined, RegExp][] = [
    [
      'POSTGRES_URL',
      undefined,
      /^POSTGRES_URL is missing: it must be postgres:.*\(see POSTGRES_URL in \.env\.example\)\.$/,
    ],
    ['POSTGRES_URL', '', /^POSTGRES_URL is missing/],
    ['POSTGRES_URL', 'mysql://u:hunter2@h/d', /^POSTGRES_URL must be postgres:/],
    ['POSTGRES_URL', 'postgres://u:p@h:hunter2/d', /^POSTGRES_URL must be postgres:/],
    ['SYNC_WEBHOOK_SECRET', 'hunter2', /^SYNC_WEBHOOK_SECRET must be at least 16 characters/],
    ['SYNC_WEBHOOK_KEYS', 'hunter2', /^SYNC_WEBHOOK_KEYS must be one or two keys.*whsec_.*\(see SYNC_WEBHOOK_KEYS in/],
    ['SYNC_WEBHOOK_KEYS', 'whsec_hunter2', /^SYNC_WEBHOOK_KEYS must be one or two keys/],
    ['SYNC_WEBHOOK_KEYS', `${KEY} ${KEY} ${KEY} hunter2`, /^SYNC_WEBHOOK_KEYS must be one or two keys/],
    ['INGRESS_PORT', '99999', /^INGRESS_PORT must be a whole number from 0 to 65535/],
    ['INGRESS_PORT', 'hunter2', /^INGRESS_PORT must be a whole number/],
    ['INGRESS_URL', 'http://hunter2:99999', /^INGRESS_URL must be an address such as http:/],
    ['LOG_LEVEL', 'hunter2', /^LOG_LEVEL must be one of/],
    [
      'CLINIC_DOORBELL',
      'hunter2',
      /^CLINIC_DOORBELL must be one of service-broker, ole-automation, rest-endpoint, http, none/,
    ],
  ]
  for (const [name, value, expected] of cases) {
    const error = complaint(() => readSettings([name], { [name]: value }))
    t.equal(error.code, 'SYNC_CONFIG')
    t.match(error.message, expected)
    t.notMatch(JSON.stringify([error.message, error.cause]), /hunter2/)
  }
})

t.test('webhook keys: none, one, or two while they are exchanged', async (t) => {
  const read = (text?: string) => readSettings(['SYNC_WEBHOOK_KEYS'], { SYNC_WEBHOOK_KEYS: text }).SYNC_WEBHOOK_KEYS
  for (const text of [undefined, '', ' ']) t.equal(read(text), '')
  for (const text of [KEY, `${KEY} ${KEY}`, `${KEY}, ${KEY}`]) t.equal(read(text), text)
})

t.test('proxies that are trusted: addresses and networks, never everybody', async (t) => {
  t.strictSame(parseProxies(''), [])
  t.strictSame(parseProxies('loopback, 172.16.0.0/12 2001:db8::/32,10.0.0.1'), [
    'loopback',
    '172.16.0.0/12',
    '2001:db8::/32',
    '10.0.0.1',
  ])
  for (const text of [
    'true',
    '1',
    '*',
    '0.0.0.0/0',
    '::/0',
    '10.0.0.0/33',
    'proxy.example',
    '10.0.0.1/',
    '10.0.0.1/8/8',
  ]) {
    t.equal(parseProxies(text), null, text)
    t.match(complaint(() => readSettings(['INGRESS_TRUST_PROXY'], { INGRESS_TRUST_PROXY: text })).message, /loopback/)
  }
})

t.test('a secret may come from a file', async (t) => {
  const file = join(t.testdir(), 'secret')
  await writeFile(file, 'a long enough secret\n')
  const read = (environment: Record<string, string>) => readSettings(['SYNC_OPERATOR_TOKEN'], environment)
  t.strictSame(read({ SYNC_OPERATOR_TOKEN_FILE: file }), { SYNC_OPERATOR_TOKEN: 'a long enough secret' })
  t.match(
    complaint(() => read({ SYNC_OPERATOR_TOKEN_FILE: file, SYNC_OPERATOR_TOKEN: 'another' })).message,
    /are both set: keep one/,
  )
  t.match(
    complaint(() => read({ SYNC_OPERATOR_TOKEN_FILE: `${file}.missing` })).message,
    /^the file that SYNC_OPERATOR_TOKEN_FILE names cannot be read/,
  )
  t.equal(readSettings(['INGRESS_HOST'], { INGRESS_HOST_FILE: file }).INGRESS_HOST, '127.0.0.1', 'only secrets')

  // As Windows' editors and PowerShell write it.
  writeFileSync(file, '\uFEFFa long enough secret\r\n')
  t.strictSame(read({ SYNC_OPERATOR_TOKEN_FILE: file }), { SYNC_OPERATOR_TOKEN: 'a long enough secret' })
  const utf16 = Buffer.from('\uFEFFa long enough secret\r\n', 'utf16le')
  for (const bytes of [utf16, utf16.subarray(2), Buffer.from('a long enough s\u00E4cret', 'latin1')]) {
    writeFileSync(file, bytes)
    t.match(complaint(() => read({ SYNC_OPERATOR_TOKEN_FILE: file })).message, /names is not UTF-8: save it as that/)
  }
})

t.test("a certificate's path counts from the folder of the file that names it", async (t) => {
  const folder = t.testdir({
    clinic: 'mssql://u:p%40%2B@host:1/c?encrypt=true&ca=ca/clinic%20one.crt\n',
    portal: 'postgres://u:p@host/d?sslmode=verify-full&sslrootcert=../p.crt&sslkey=/etc/k.pem',
    broker: 'amqps://u:p@host/%2Fv?cacertfile=ca/r.crt&certfile=c.pem&heartbeat=5',
    none: 'amqps://u:p%41@host?a=b%20c',
    broken: 'amqps://u:p@host:port?cacertfile=ca/r.crt',
  })
  const read = <N extends SettingName>(name: N, file: string) =>
    new URL(readSettings([name], { [`${name}_FILE`]: join(folder, file) })[name] as string)
  const clinic = read('SQLSERVER_URL', 'clinic')
  t.equal(clinic.searchParams.get('ca'), join(folder, 'ca/clinic one.crt'))
  t.equal(clinic.href.split('?')[0], 'mssql://u:p%40%2B@host:1/c', 'the rest is as it was')
  t.equal(read('SQLSERVER_ADMIN_URL', 'clinic').href, clinic.href)
  const portal = read('POSTGRES_URL', 'portal').searchParams
  t.equal(portal.get('sslrootcert'), join(folder, '../p.crt'))
  t.equal(portal.get('sslkey'), '/etc/k.pem', 'an absolute one stays')
  const broker = read('RABBITMQ_URL', 'broker')
  t.equal(broker.searchParams.get('cacertfile'), join(folder, 'ca/r.crt'))
  t.equal(broker.searchParams.get('certfile'), join(folder, 'c.pem'))
  t.equal(broker.searchParams.get('heartbeat'), '5')
  t.equal(broker.pathname, '/%2Fv')
  const file = join(folder, 'none')
  t.equal(readSettings(['RABBITMQ_URL'], { RABBITMQ_URL_FILE: file }).RABBITMQ_URL, 'amqps://u:p%41@host?a=b%20c')
  const here = 'amqps://u:p@host?cacertfile=ca/r.crt'
  t.equal(readSettings(['RABBITMQ_URL'], { RABBITMQ_URL: here }).RABBITMQ_URL, here, 'from the current folder')
  t.match(complaint(() => read('RABBITMQ_URL', 'broken')).message, /^RABBITMQ_URL must be amqp:/)
})

t.test('the environment wins over the .env file, and the file may be missing', async (t) => {
  const file = join(t.testdir({ env: 'A=file\nB=file\n' }), 'env')
  t.strictSame(withEnvFile({ A: 'environment' }, file), { A: 'environment', B: 'file' })
  t.strictSame(withEnvFile({ A: '1' }, `${file}.missing`), { A: '1' })
  writeFileSync(file, '\uFEFFB=file\r\n')
  t.strictSame(withEnvFile({}, file), { B: 'file' })
  writeFileSync(file, Buffer.from('\uFEFFB=file\r\n', 'utf16le'))
  t.match(complaint(() => withEnvFile({}, file)).message, /is not UTF-8/)
})

t.test('a setting that is missing where there is no .env at all: that is said', async (t) => {
  const folder = process.cwd()
  t.teardown(() => process.chdir(folder))
  process.chdir(t.testdir())
  const said = () => complaint(() => readSettings(['POSTGRES_URL'], withEnvFile({}))).message
  t.match(said(), /^POSTGRES_URL is missing: .*; there is no \.env in the current folder \(see POSTGRES_URL/)
  writeFileSync('.env', 'LOG_LEVEL=info\n')
  t.notMatch(said(), /current folder/)
})
