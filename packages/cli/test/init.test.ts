import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import { makeAuthority } from '@clinic-sync/dev-services/testing'
import { openScriptConnection } from '@clinic-sync/clinic'
import { readSettings, SETTINGS, type SettingName } from '@clinic-sync/runtime'
import pg from 'pg'
import t from 'tap'
import { newPassword, newSecret } from '../src/init/secrets.ts'
import { SECRET_FILE_NAMES, type SecretFile } from '../src/init/layout.ts'
import { migrate } from '../src/migrate/index.ts'
import { bare, emptyFolder } from './support/initialising.ts'

// init by flags, against a simulated clinic and a real Postgres.

const secretIn = (folder: string, file: SecretFile) => readFileSync(join(folder, 'secrets', file), 'utf8').trim()
/** What must not be on a screen: passwords and secrets, without the addresses around them. */
function secretsIn(folder: string): string[] {
  return SECRET_FILE_NAMES.filter((file) => file !== 'rabbitmq_definitions.json').flatMap((file) => {
    const text = secretIn(folder, file)
    return text === '' ? [] : [URL.canParse(text) ? decodeURIComponent(new URL(text).password) : text]
  })
}
const times = (text: string, part: string) => text.split(part).length - 1

/** The settings of a process that was started in that folder. */
function settingsOf(folder: string) {
  const lines = Object.entries(parseEnv(readFileSync(join(folder, '.env'), 'utf8'))).map(([name, value = '']) =>
    name.endsWith('_FILE') ? [name, join(folder, value)] : [name, value],
  )
  return readSettings(Object.keys(SETTINGS) as SettingName[], Object.fromEntries(lines))
}

t.test('installs by flags, and again', async (t) => {
  const { run, clinic, sqlserver, postgres } = await bare(t, { ownPostgres: true })
  const folder = emptyFolder(t)
  const connection = openScriptConnection(clinic.url)
  await connection.batch('ALTER DATABASE [clinic] SET DISABLE_BROKER WITH ROLLBACK IMMEDIATE')
  await connection.close()
  const withoutBroker = await run(folder, { install: true, withPortalTables: true })
  t.equal(withoutBroker.done, false)
  t.match(withoutBroker.text, /✗ Service Broker is off .*ALTER DATABASE .* SET ENABLE_BROKER WITH ROLLBACK IMMEDIATE/)
  t.match(withoutBroker.text, 'npm run sync -- init --overwrite --install')

  const { done, text, error } = await run(folder, { install: true, enableBroker: true, overwrite: true })
  t.equal(error, undefined)
  t.equal(done, true, text)
  t.match(text, /Nothing fails/)
  t.match(text, /login may do nothing else: it reads no table/, 'looked at with the services’ login')

  await t.test('what is written', async (t) => {
    const settings = settingsOf(folder)
    t.equal(new URL(settings.SQLSERVER_URL).username, 'clinic_sync_service')
    t.equal(new URL(settings.POSTGRES_URL).username, 'clinic_sync_service')
    t.equal(new URL(settings.RABBITMQ_URL).username, 'operator')
    t.equal(new URL(settings.SQLSERVER_ADMIN_URL).password, encodeURIComponent(sqlserver.password))
    t.equal(new URL(settings.POSTGRES_ADMIN_URL).password, encodeURIComponent(postgres.password))
    const env = readFileSync(join(folder, '.env'), 'utf8')
    t.match(env, 'SECRETS_DIR=./secrets')
    const secrets = secretsIn(folder)
    for (const secret of secrets) {
      t.notOk(env.includes(secret), 'no secret in .env')
      t.notOk(text.includes(secret), 'no secret on the screen')
    }
    const made = secrets.filter((secret) => ![sqlserver.password, postgres.password].includes(secret))
    t.equal(made.length, 8)
    t.equal(new Set(made).size, made.length, 'each is its own')
    const { users } = JSON.parse(secretIn(folder, 'rabbitmq_definitions.json')) as { users: { name: string }[] }
    t.same(users.map(({ name }) => name).sort(), ['ingress', 'operator', 'postgres-to-sql', 'sql-to-postgres'])
    if (process.platform === 'win32') return
    t.equal(statSync(join(folder, 'secrets')).mode & 0o777, 0o700)
    t.equal(statSync(join(folder, 'secrets/ca')).mode & 0o777, 0o755)
    for (const file of SECRET_FILE_NAMES) t.equal(statSync(join(folder, 'secrets', file)).mode & 0o777, 0o644, file)
    t.notOk(
      readdirSync(join(folder, 'secrets')).some((name) => name.startsWith('.new')),
      'nothing half written',
    )
  })

  await t.test('migrate without the logins that install: all is up to date', async (t) => {
    const { SQLSERVER_URL, POSTGRES_URL } = settingsOf(folder)
    const lines: string[] = []
    const onLine = (line: string) => void lines.push(line)
    t.same((await migrate({ side: 'clinic', url: SQLSERVER_URL, asService: true, onLine })).applied, [])
    t.same((await migrate({ side: 'portal', url: POSTGRES_URL, asService: true, onLine })).applied, [])
    t.match(lines.join('\n'), /^clinic: up to date \(\d+ files\)\n(.*\n)*portal: up to date \(\d+ files\)$/m)

    // Something is missing: it says which login it takes.
    const admin = new pg.Client(settingsOf(folder).POSTGRES_ADMIN_URL)
    await admin.connect()
    const of05 = "FROM sync.migrations WHERE name = '05_portal_doorbells.sql'"
    const { rows } = await admin.query<{ name: string; checksum: string }>(`SELECT name, checksum ${of05}`)
    await admin.query(`DELETE ${of05}`)
    await t.rejects(migrate({ side: 'portal', url: POSTGRES_URL, asService: true }), { message: /POSTGRES_ADMIN_URL/ })
    await admin.query('INSERT INTO sync.migrations (name, checksum) VALUES ($1, $2)', [
      rows[0]?.name,
      rows[0]?.checksum,
    ])
    await admin.end()
  })

  await t.test('a second time it asks, and keeps what it has made', async (t) => {
    const before = new Map(SECRET_FILE_NAMES.map((file) => [file, secretIn(folder, file)]))
    writeFileSync(join(folder, '.env'), `${readFileSync(join(folder, '.env'), 'utf8')}LOG_LEVEL=warn\n`)
    const refused = await run(folder)
    t.match(refused.error?.message, /There is a \.env .* already: --overwrite/)
    t.equal(secretIn(folder, 'webhook_secret'), before.get('webhook_secret'))

    // Without any answer: all of them are those of before.
    const again = await run(
      folder,
      { overwrite: true, install: true },
      { options: { input: false, login: 'clinic_sync_service', overwrite: true, install: true } },
    )
    t.equal(again.error, undefined)
    t.equal(again.done, true, again.text)
    for (const [file, text] of before)
      if (file !== 'rabbitmq_definitions.json') t.equal(secretIn(folder, file), text, file)
    t.equal(settingsOf(folder).LOG_LEVEL, 'warn', 'what somebody has added stays')
    const copies = readdirSync(join(folder, 'secrets')).filter((name) => name.startsWith('before-'))
    const copy = copies.sort().at(-1) ?? ''
    t.match(again.text, copy)
    t.ok(existsSync(join(folder, 'secrets', copy, '.env')))
    t.equal(
      readFileSync(join(folder, 'secrets', copy, 'secrets/webhook_secret'), 'utf8').trim(),
      before.get('webhook_secret'),
    )

    const renewed = await run(folder, { overwrite: true, install: true, newSecrets: true })
    t.equal(renewed.done, true, renewed.text)
    for (const [file, text] of before)
      if (!file.endsWith('admin_url') && text !== '') t.not(secretIn(folder, file), text, `${file} is new`)
  })
})

t.test('without --install: what to run, each password once', async (t) => {
  const { run } = await bare(t)
  const folder = emptyFolder(t)
  const options = { portalDoorbell: 'webhook', publicUrl: 'https://sync.example.org', install: false } as const
  const { cert } = makeAuthority()
  const file = join(t.testdir({ 'mq.crt': cert }), 'mq.crt')
  const { done, text } = await run(folder, { ...options, rabbitmq: `amqps://mq:5671/sync?cacertfile=${file}` })
  t.match(
    secretIn(folder, 'rabbitmq_url_ingress'),
    /^amqps:\/\/ingress:[\w-]+@mq:5671\/sync\?cacertfile=ca\/rabbitmq.crt$/,
  )
  t.equal(readFileSync(join(folder, 'secrets/ca/rabbitmq.crt'), 'utf8').trim(), cert.trim())
  t.equal(done, false, 'the doctor finds nothing installed')
  const own = (file: SecretFile) => new URL(secretIn(folder, file)).password
  for (const secret of [own('sqlserver_url'), own('postgres_url'), secretIn(folder, 'webhook_secret')])
    t.equal(times(text, secret), 1, 'once')
  for (const secret of [own('rabbitmq_url'), own('rabbitmq_url_ingress'), secretIn(folder, 'operator_token')])
    t.equal(times(text, secret), 0, 'never')
  t.match(text, `DECLARE @Password nvarchar(128) = N'${own('sqlserver_url')}'`)
  t.match(text, `password text := '${own('postgres_url')}';`)
  t.match(text, /Table {11}aligner_notes .*\n {2}Events {10}Insert, Update/)
  t.match(text, /Table {11}aligner_batches .*\n {2}Events {10}Update\n/)
  t.match(text, 'https://sync.example.org/api/sync/webhook')

  const again = await run(folder, { ...options, overwrite: true, run: 'docker' })
  for (const secret of secretsIn(folder).filter((each) => each.length > 20))
    t.equal(times(again.text, secret), 0, 'not a second time')
  t.match(again.text, /the password in secrets\/sqlserver_url/)

  // In a container this machine has another name, for which no certificate is.
  t.match(secretIn(folder, 'sqlserver_url'), /@host\.docker\.internal:\d+\/clinic\?.*trustServerCertificate=true/)
  t.match(secretIn(folder, 'postgres_url'), /@host\.docker\.internal:\d+\/\w+\?sslmode=disable$/)
  t.match(secretIn(folder, 'rabbitmq_url_ingress'), /^amqp:\/\/ingress:[\w-]+@rabbitmq:5672$/)
  t.match(again.text, 'docker compose run --rm sync doctor')
})

t.test('what will not do is said, and nothing is written', async (t) => {
  const { run, clinic, sqlserver, postgres } = await bare(t)
  const folder = emptyFolder(t)
  const fails = async (
    expected: RegExp,
    ...[options, more]: Parameters<typeof run> extends [string, ...infer R] ? R : never
  ) => {
    const { error, text } = await run(folder, options, more)
    t.match(error, { code: 'SYNC_USAGE', message: expected })
    t.notMatch(`${text}${error?.message}`, sqlserver.password)
    t.same(readdirSync(folder), [])
  }
  const login = { sqlserver: 'wrong', postgres: postgres.password }
  await fails(/refused the login.*Correct login, password and database/, {}, { passwords: login })
  await fails(
    /28P01.*Correct user and password/s,
    {},
    { passwords: { sqlserver: sqlserver.password, postgres: 'wrong' } },
  )
  await fails(/ECONNREFUSED.*Start SQL Server/, { sqlserver: 'mssql://sa@127.0.0.1:1/clinic' })
  await fails(/ECONNREFUSED.*host and port/, { postgres: 'postgres://postgres@127.0.0.1:1/postgres' })
  await fails(/3D000.*Correct the database/s, { postgres: `${postgres.address}_not` })
  await fails(/Port 6543 is transaction mode.*Session pooler/, {
    postgres: 'postgres://postgres.abcdefgh@aws-0-eu-central-1.pooler.supabase.com:6543/postgres',
  })
  await fails(/holds a password, which everybody on this machine can read/, {
    sqlserver: 'mssql://sa:secret@localhost/clinic',
  })
  await fails(
    /The password of the login in --sqlserver is missing/,
    {},
    { passwords: { sqlserver: undefined, postgres: undefined } },
  )
  await fails(/--time-zone Mars\/Base is no time zone/, { timeZone: 'Mars/Base' })
  await fails(/--clinic-doorbell rest-endpoint cannot be: it takes SQL Server 2025/, {
    clinicDoorbell: 'rest-endpoint',
  })
  clinic.pause()
  await fails(/did not answer within/, {}, { patienceMs: 500 })
  clinic.resume()
})

t.test('what is made cannot be guessed', async (t) => {
  const passwords = Array.from({ length: 200 }, newPassword)
  t.equal(new Set(passwords).size, 200)
  for (const password of passwords) t.match(password, /^(?=.*[a-z])(?=.*[A-Z])(?=.*\d)[\w-]{32}$/)
  t.match(newSecret(), /^[0-9a-f]{64}$/)
})
