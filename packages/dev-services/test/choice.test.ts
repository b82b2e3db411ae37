import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { mayInstall } from '../src/apt.ts'
import { startDevServices } from '../src/dev-services.ts'
import { parseDevServicesFlags } from '../src/flags.ts'
import { startPostgres } from '../src/postgres.ts'
import { firstOf, NoServiceError, shown, type DevService, type Way } from '../src/service.ts'
import { startRabbit } from '../src/rabbit.ts'
import { startSqlServer } from '../src/sql-server.ts'

const service = (how: string): DevService => ({ url: 'x://y', how, stop: async () => undefined })

t.test('the first way that leads somewhere is taken', async (t) => {
  const tried: Way[] = []
  const attempt = (way: Way, result: DevService | string) => ({
    way,
    label: way,
    try: async () => {
      tried.push(way)
      if (result === 'breaks') throw new Error('it broke')
      return result
    },
  })
  const attempts = [attempt('url', 'not set'), attempt('embedded', 'breaks'), attempt('docker', service('taken'))]
  t.equal((await firstOf('Thing', [...attempts, attempt('package', 'never tried')], {}, '')).how, 'taken')
  t.strictSame(tried, ['url', 'embedded', 'docker'])

  await t.rejects(firstOf('Thing', attempts, { ways: ['url', 'embedded'] }, 'Do this.'), {
    name: 'NoServiceError',
    message: 'Thing is needed, and there is none here. Tried:\n  - url: not set\n  - embedded: it broke\nDo this.',
  })
})

/** For PATH: a folder with a docker command that finds no engine, whatever runs on this machine. */
async function withoutDockerEngine(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'clinic-sync-test-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  await writeFile(join(folder, 'docker'), '#!/bin/sh\necho Cannot connect to the Docker daemon >&2\nexit 1\n')
  await chmod(join(folder, 'docker'), 0o755)
  return folder
}

t.test('nothing is installed without consent, and the message lists the choices', async (t) => {
  const folder = await withoutDockerEngine(t)
  const error = await startRabbit({ env: { PATH: folder }, ways: ['url', 'docker', 'package'] }).catch(
    (e: unknown) => e,
  )
  t.type(error, NoServiceError)
  t.match(String(error), /RABBITMQ_URL.*\n.*Docker.*\n.*package/)
  t.match(String(error), /apt-get install rabbitmq-server/)
  t.match(String(error), /--yes or CI=true/)
})

t.test('a Docker command without an engine is no way', async (t) => {
  const folder = await withoutDockerEngine(t)
  await t.rejects(startPostgres({ env: { PATH: folder }, ways: ['docker'] }), /Docker: no Docker engine answers/)
})

t.test('when one service cannot be had, the others are ended', async (t) => {
  const said: string[] = []
  const env = { POSTGRES_URL: 'postgres://db.example/portal', PATH: '' }
  const wanted = startDevServices({ need: ['postgres', 'rabbit'], ways: ['url'], env, say: (line) => said.push(line) })
  await t.rejects(wanted, NoServiceError)
  t.strictSame(said, ['Postgres: postgres://db.example/portal (POSTGRES_URL)'])
})

t.test('a SQL Server with two logins: one for the services, one for all else', async (t) => {
  const [own, admin] = ['mssql://services:x@db.example/clinic', 'mssql://sa:x@db.example/clinic']
  const env = { SQLSERVER_URL: own, SQLSERVER_ADMIN_URL: admin }
  t.match(await startSqlServer({ env, ways: ['url'] }), { url: admin, serviceUrl: own })
  const { url, serviceUrl } = await startSqlServer({ env: { SQLSERVER_URL: own }, ways: ['url'] })
  t.same([url, serviceUrl], [own, undefined])
})

t.test('who consents to an installation', async (t) => {
  t.equal(mayInstall({}, {}), false)
  t.equal(mayInstall({ yes: true }, {}), true)
  t.equal(mayInstall({}, { CI: 'true' }), true)
  t.equal(mayInstall({}, { CI: 'false' }), false)
  t.equal(mayInstall({}, { npm_config_yes: 'true' }), true, 'npm test --yes')
})

t.test('flags', async (t) => {
  t.strictSame(parseDevServicesFlags([], {}), { yes: false })
  t.strictSame(parseDevServicesFlags(['--once', '--yes'], {}), { yes: true })
  t.strictSame(parseDevServicesFlags(['-y'], {}), { yes: true })
  t.strictSame(parseDevServicesFlags(['--', '--yes'], {}), { yes: false }, 'what follows -- is for somebody else')
})

t.test('an address for people has no password', async (t) => {
  t.equal(shown('mssql://sa:secret@host:1433/clinic?password=secret'), 'mssql://host:1433/clinic')
  t.equal(shown('secret'), 'an address that cannot be read')
})
