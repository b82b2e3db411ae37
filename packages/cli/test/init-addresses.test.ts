import t from 'tap'
import { clinicUrl, portalServiceUser, withLogin, withoutPassword, withParameters } from '../src/init/addresses.ts'
import type { InitOptions } from '../src/init/options.ts'
import { readPasswords } from '../src/init/options.ts'
import type { Session } from '../src/init/session.ts'
import { chooseTimeZone, offsetOf } from '../src/init/time-zone.ts'
import { isIpv6Only } from '../src/init/trouble.ts'
import { parseAddress } from '@clinic-sync/clinic'

t.test('a SQL Server as SSMS names it', async (t) => {
  const parsed = (host: string, login = 'sa') => parseAddress(clinicUrl(host, 'clinic', login, 'p@ss #1%'))
  t.match(parsed('PC'), { server: 'PC', database: 'clinic', user: 'sa', password: 'p@ss #1%' })
  t.match(parsed('PC:1500'), { server: 'PC', port: 1500 })
  t.match(parsed('tcp:PC,1500'), { server: 'PC', port: 1500 })
  t.match(parsed('PC\\SQLEXPRESS'), { options: { instanceName: 'SQLEXPRESS', encrypt: true } })
  t.match(parsed('PC\\SQLEXPRESS,1500'), { port: 1500, options: { instanceName: undefined } })
  t.match(parsed('.\\SQLEXPRESS'), { server: 'localhost' })
  t.match(parsed('[fe80::1]:1433'), { server: 'fe80::1', port: 1433 })
  t.match(parsed('PC', 'CLINIC\\admin'), { user: 'admin', domain: 'CLINIC' })
  t.match(parseAddress(clinicUrl('PC', 'كلينك 1', 'sa', 'x')), { database: 'كلينك 1' })
  t.throws(() => clinicUrl('http://PC/', 'clinic', 'sa', 'x'), { code: 'SYNC_USAGE' })
})

t.test('the services’ user of a portal, and what is left of its address', async (t) => {
  const pooler = 'postgres://postgres.abcdefgh@aws-0-eu-central-1.pooler.supabase.com:5432/postgres'
  t.equal(portalServiceUser(pooler, 'clinic_sync_service'), 'clinic_sync_service.abcdefgh')
  const direct = 'postgres://postgres@db.abcdefgh.supabase.co:5432/postgres'
  t.equal(portalServiceUser(direct, 'clinic_sync_service'), 'clinic_sync_service')
  const written = withParameters(withLogin(direct, 'me', 'x'), { sslmode: 'verify-full', sslrootcert: 'ca/portal.crt' })
  t.match(written, 'me:x@db.abcdefgh.supabase.co:5432/postgres?sslmode=verify-full&sslrootcert=ca/portal.crt')
  t.throws(() => withoutPassword('postgres://a:b@h/x', '--postgres', /^postgres:$/), {
    message: /take it out.*--postgres-password-file/,
  })
})

t.test('passwords come from files, standard input and the environment', async (t) => {
  const stdin = () => 'first\r\nsecond\r\n'
  const both = { sqlserverPasswordFile: '-', postgresPasswordFile: '-' }
  t.same(readPasswords(both, {}, stdin), { sqlserver: 'first', postgres: 'second' })
  t.same(readPasswords({ postgresPasswordFile: '-' }, { SQLSERVER_PASSWORD: 'own' }, stdin), {
    sqlserver: 'own',
    postgres: 'first',
  })
  const folder = t.testdir({
    password: 'with blanks at its end  \n',
    bom: '\uFEFFsecret\r\n',
    utf16: Buffer.from('\uFEFFsecret\r\n', 'utf16le'),
  })
  t.equal(readPasswords({ sqlserverPasswordFile: `${folder}/bom` }, {}).sqlserver, 'secret')
  t.throws(() => readPasswords({ sqlserverPasswordFile: `${folder}/utf16` }, {}), { message: /is not UTF-8/ })
  t.equal(readPasswords({ sqlserverPasswordFile: `${folder}/password` }, {}).sqlserver, 'with blanks at its end  ')
  t.throws(() => readPasswords({ sqlserverPasswordFile: `${folder}/none` }, {}), { code: 'SYNC_USAGE' })
})

t.test('the time zone is the one that agrees with the server’s clock', async (t) => {
  t.same(
    [offsetOf('Asia/Baghdad'), offsetOf('UTC'), offsetOf('Asia/Kathmandu'), offsetOf('Mars/Base')],
    [180, 0, 345, null],
  )
  const lines: string[] = []
  const session = (options: Partial<InitOptions>, before: Record<string, string> = {}): Session => ({
    options: { input: false, login: 'x', ...options },
    passwords: { sqlserver: undefined, postgres: undefined },
    previous: { exists: false, lines: new Map(Object.entries(before)), written: new Map(), secret: () => undefined },
    ask: null,
    say: (line) => void lines.push(line),
    inContainer: false,
    patienceMs: 1_000,
  })
  t.equal(await chooseTimeZone(session({}), 180), 'Asia/Baghdad')
  t.equal(await chooseTimeZone(session({}, { CLINIC_TIME_ZONE: 'Asia/Riyadh' }), 180), 'Asia/Riyadh')
  t.same(lines, [])
  t.equal(await chooseTimeZone(session({ timeZone: 'Asia/Tehran' }), 180), 'Asia/Tehran')
  t.match(lines, [/clock is \+03:00 from UTC now, and Asia\/Tehran is \+03:30/])
})

t.test('IPv6 only', async (t) => {
  t.equal(await isIpv6Only('::1'), true)
  t.equal(await isIpv6Only('127.0.0.1'), false)
  t.equal(await isIpv6Only('no.such.host.invalid'), false)
})
