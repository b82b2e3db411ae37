import { createSocket } from 'node:dgram'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import {
  makeAuthority,
  makeSelfSigned,
  tdsWithTls,
  testClinic,
  testPostgresServer,
} from '@clinic-sync/dev-services/testing'
import t, { type Test } from 'tap'
import { isAbandoned, prompter, type Prompter } from '../src/init/ask.ts'
import { init, type InitCommand } from '../src/init/init.ts'
import { portOfInstance } from '../src/init/sql-browser.ts'
import { emptyFolder, split } from './support/initialising.ts'

// init as a conversation, with servers whose certificates nobody knows.

/** Answers in this order; each question has to be the one that is expected. */
function answering(t: Test, script: [question: RegExp, answer: string | boolean | Error][]): Prompter {
  const next = <T>(question: string, byDefault?: T): T => {
    const [expected, answer] = script.shift() ?? [/no more questions/, '']
    t.match(question, expected)
    if (answer instanceof Error) throw answer
    return (answer === '' && byDefault !== undefined ? byDefault : answer) as T
  }
  return {
    text: async (question, byDefault, check) => {
      const answer = next(question, byDefault)
      t.equal(check?.(answer) ?? null, null, `${question} takes ${answer}`)
      return answer
    },
    secret: async (question) => next(question),
    choose: async (question, choices, byDefault) => {
      const answer = next(question, byDefault)
      t.ok(
        choices.some(({ value }) => value === answer),
        `${question} offers ${answer}`,
      )
      return answer
    },
    confirm: async (question, byDefault) => next(question, byDefault),
  }
}
const clinicOwn = makeSelfSigned({ commonName: 'CLINIC-PC' })
const authority = makeAuthority()
const clinic = await testClinic(t, { migrated: false })
const front = await tdsWithTls(Number(new URL(clinic.url).port), clinicOwn)
t.teardown(() => front.close())
const portal = await testPostgresServer(t, { tls: authority.issue({ hosts: ['localhost'] }) })
const [clinicLogin, portalLogin] = [split(clinic.url), split(portal.url)]
const portalPort = new URL(portal.url).port
const portalAddress = `postgresql://postgres:[YOUR-PASSWORD]@localhost:${portalPort}${new URL(portal.url).pathname}?sslmode=verify-full`

async function converse(folder: string, ask: Prompter | null, more: Partial<InitCommand> = {}) {
  const lines: string[] = []
  const said = await init({
    // Nobody listens at that port, whatever runs on this machine.
    options: { input: ask !== null, login: 'clinic_sync_service', port: '1' },
    passwords: { sqlserver: undefined, postgres: undefined },
    folder,
    ask,
    say: (line) => void lines.push(line),
    inContainer: false,
    environment: {},
    colour: false,
    ...more,
  }).then(
    (done) => ({ done, error: undefined }),
    (error: unknown) => ({ done: undefined, error: error as Error }),
  )
  return { ...said, text: lines.join('\n') }
}

t.test('asks, shows each certificate, asks again where it is refused, and installs', async (t) => {
  const folder = emptyFolder(t)
  const toClinic = (password: string): [RegExp, string][] => [
    [/^SQL Server: host/, `localhost:${front.port}`],
    [/database/, 'clinic'],
    [/^A login/, 'sa'],
    [/^Password of sa/, password],
  ]
  const script: [RegExp, string | boolean][] = [
    [/^Where shall the services run/, 'node'],
    ...toClinic('wrong'),
    [/certificate/, 'pin'],
    ...toClinic(clinicLogin.password),
    [/zone/, ''],
    [/SQL Server say/, ''],
    [/^Address/, portalAddress],
    [/^Password of postgres/, portalLogin.password],
    [/certificate/, 'pin'],
    [/portal say/, 'listen'],
    [/RabbitMQ/, ''],
    [/^Install now/, true],
    [/no tables/, true],
  ]
  const { done, text, error } = await converse(folder, answering(t, script))
  t.equal(error, undefined)
  t.equal(done, true, text)
  t.same(script, [], 'every question was asked')
  t.match(text, /certificate  CN=CLINIC-PC\n {4}signed by    itself/)
  t.match(text, /✗ SQL Server refused the login/)
  t.match(text, /Postgres \d+.*encrypted/)
  for (const password of [clinicLogin.password, portalLogin.password]) t.notOk(text.includes(password))
  const file = (name: string) => readFileSync(join(folder, 'secrets', name), 'utf8')
  t.match(file('sqlserver_url'), 'trustServerCertificate=false&ca=ca/clinic.crt')
  t.match(file('postgres_url'), 'sslmode=verify-full&sslrootcert=ca/portal.crt')
  t.equal(file('ca/clinic.crt').trim(), clinicOwn.cert.trim())
  t.ok(existsSync(join(folder, 'secrets/ca/portal.crt')))

  // The logins that installed were forgotten: they are asked for, and nothing else that is known already.
  for (const name of ['sqlserver_admin_url', 'postgres_admin_url']) writeFileSync(join(folder, 'secrets', name), '')
  const second: [RegExp, string | boolean][] = [
    [/a \.env already/, true],
    [/^Where shall/, 'node'],
    [/^SQL Server: host/, ''],
    [/database/, ''],
    [/^A login/, ''],
    [/^Password of sa/, clinicLogin.password],
    [/zone/, ''],
    [/SQL Server say/, ''],
    [/^Address/, ''],
    [/^Password of postgres/, portalLogin.password],
    [/portal say/, ''],
    [/RabbitMQ/, ''],
    [/^Install now/, true],
  ]
  const again = await converse(folder, answering(t, second))
  t.equal(again.error, undefined)
  t.equal(again.done, true, again.text)
  t.same(second, [])
  t.match(file('postgres_admin_url'), 'sslrootcert=ca/portal.crt')
})

t.test('whoever gives up in the middle leaves nothing behind', async (t) => {
  const folder = emptyFolder(t)
  const given = Object.assign(new Error('ended'), { name: 'ExitPromptError' })
  const script: [RegExp, string | Error][] = [
    [/^Where shall/, 'docker'],
    [/^SQL Server: host/, `localhost:${front.port}`],
    [/database/, 'clinic'],
    [/^A login/, 'sa'],
    [/^Password/, clinicLogin.password],
    [/certificate/, given],
  ]
  const { error } = await converse(folder, answering(t, script))
  t.ok(isAbandoned(error))
  t.same(readdirSync(folder), [])
})

t.test('by flags a certificate is trusted by its fingerprint, or not at all', async (t) => {
  const folder = emptyFolder(t)
  const options = {
    input: false,
    login: 'clinic_sync_service',
    sqlserver: `mssql://sa@localhost:${front.port}/clinic`,
    postgres: portalAddress.replace(':[YOUR-PASSWORD]', ''),
    install: false,
  } as const
  const passwords = { sqlserver: clinicLogin.password, postgres: portalLogin.password }
  const trust = async (trustCertificate: readonly string[]) =>
    converse(folder, null, { options: { ...options, trustCertificate }, passwords })
  const shown = (error: Error | undefined) =>
    /--trust-certificate ([0-9A-F:]{95})/.exec(error?.message ?? '')?.[1] ?? ''
  const first = await trust(['00'.repeat(32)])
  t.match(first.error?.message, /certificate of SQL Server cannot be checked. It is CN=CLINIC-PC, signed by itself/)
  const second = await trust([shown(first.error)])
  t.match(
    second.error?.message,
    /certificate of Postgres cannot be checked. It is CN=server, signed by CN=Test authority/,
  )
  t.same(readdirSync(folder), [])
  const third = await trust([shown(first.error), shown(second.error).replaceAll(':', '').toLowerCase()])
  t.equal(third.error, undefined)
  t.match(third.text, /Written: \.env/)

  // What SQL Server makes for itself lasts until its next start.
  const atStart = await tdsWithTls(1, makeSelfSigned({ commonName: 'SSL_Self_Signed_Fallback' }))
  t.teardown(() => atStart.close())
  const fallback = { ...options, sqlserver: `mssql://sa@localhost:${atStart.port}/clinic`, overwrite: true }
  const made = await converse(folder, null, { options: fallback, passwords })
  t.match(made.error?.message, /makes it anew at each start.*--sqlserver-ca; or trustServerCertificate=true/)
  t.notMatch(made.error?.message, '--trust-certificate')

  const expired = await tdsWithTls(1, makeSelfSigned({ commonName: 'OLD', to: new Date(Date.now() - 60_000) }))
  t.teardown(() => expired.close())
  const old = { ...options, sqlserver: `mssql://sa@localhost:${expired.port}/clinic`, overwrite: true }
  const refused = await converse(folder, null, { options: old, passwords })
  const again = { ...old, trustCertificate: [shown(refused.error)] }
  t.match(
    (await converse(folder, null, { options: again, passwords })).error?.message,
    /CERT_HAS_EXPIRED.*Trusting it does not help/,
  )
})

t.test('a named instance is found by what SQL Server Browser says', async (t) => {
  const browser = createSocket('udp4')
  browser.on('message', (asked, from) => {
    const name = asked.subarray(1, -1).toString()
    const tcp = name === 'NOTCP' ? '' : 'tcp;49172;'
    const text = `ServerName;PC;InstanceName;${name};IsClustered;No;Version;16.0.1000.6;${tcp};`
    browser.send(Buffer.concat([Buffer.from([5, text.length & 255, text.length >> 8]), Buffer.from(text)]), from.port)
  })
  await new Promise<void>((resolve) => browser.bind(0, '127.0.0.1', resolve))
  t.teardown(() => browser.close())
  const { port } = browser.address()
  t.equal(await portOfInstance('127.0.0.1', 'SQLEXPRESS', 5_000, port), 49_172)
  await t.rejects(portOfInstance('127.0.0.1', 'NOTCP', 5_000, port), { message: 'no TCP' })
})

t.test('on a terminal: what is secret is not shown, and Ctrl-C ends it', async (t) => {
  let shown = ''
  /** A terminal for one question, which closes it, with what is typed once the question is there. */
  const typing = (question: string, keys: string): Prompter => {
    const [input, output] = [new PassThrough(), new PassThrough()]
    let here = ''
    output.on('data', (part: Buffer) => {
      shown += part.toString()
      if (here.includes(question)) return
      here += part.toString()
      if (here.includes(question)) setImmediate(() => input.write(keys))
    })
    return prompter({ input, output })
  }
  t.equal(await typing('Password of sa', 'hunter2\n').secret('Password of sa'), 'hunter2')
  t.notMatch(shown, 'hunter2')
  t.equal(await typing('The database', '\n').text('The database', 'clinic'), 'clinic')
  const abandoned = typing('Install now', '\u0003')
    .confirm('Install now', true)
    .then(
      () => false,
      (error: unknown) => isAbandoned(error),
    )
  t.equal(await abandoned, true)
})
