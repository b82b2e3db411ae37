import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openClinic } from '@clinic-sync/clinic'
import { type Identity, makeAuthority, makeSelfSigned, tdsWithTls, testClinic } from '@clinic-sync/dev-services/testing'
import { pino } from 'pino'
import t from 'tap'

const log = pino({ level: 'silent' })
const authority = makeAuthority()
const simulator = await testClinic(t)
const { port: plain, username, password, pathname } = new URL(simulator.serviceUrl)

/** Asks the clinic for something over a connection with that certificate. Gives the error's message, or 'encrypted'. */
async function asked(
  t: Tap,
  identity: Identity,
  { host = 'localhost', query = '', trusts }: { host?: string; query?: string; trusts?: string },
): Promise<string> {
  const front = await tdsWithTls(Number(plain), identity)
  t.teardown(() => front.close())
  const ca = join(t.testdir(), 'ca.crt')
  if (trusts !== undefined) writeFileSync(ca, trusts)
  const file = trusts === undefined ? '' : `&ca=${encodeURIComponent(ca)}`
  const url = `mssql://${username}:${password}@${host}:${front.port}${pathname}?encrypt=true${file}${query}`
  const clinic = await openClinic({ url, timeZone: 'Asia/Baghdad', log })
  try {
    await clinic.check()
    return front.encrypted() > 0 ? 'encrypted' : 'in the clear'
  } catch (error) {
    return error instanceof Error ? error.message : 'thrown'
  } finally {
    await clinic.close()
    await front.close()
  }
}
type Tap = { testdir(): string; teardown(finish: () => unknown): unknown }

t.test('the right authority, the right name', async (t) => {
  const good = authority.issue({ hosts: ['localhost', '127.0.0.1'] })
  t.equal(await asked(t, good, { trusts: authority.cert }), 'encrypted')
  t.equal(await asked(t, good, { trusts: `${makeAuthority().cert}${authority.cert}` }), 'encrypted', 'one of two')
  t.equal(await asked(t, good, { trusts: good.cert }), 'encrypted', 'the very certificate, without its issuer')
})

t.test('nobody else', async (t) => {
  const good = authority.issue({ hosts: ['localhost'] })
  t.match(await asked(t, good, {}), /UNABLE_TO_VERIFY_LEAF_SIGNATURE/, 'without ca')
  t.match(
    await asked(t, good, { trusts: makeAuthority().cert }),
    /UNABLE_TO_GET_ISSUER_CERT_LOCALLY/,
    'another authority',
  )
  const past = new Date(Date.now() - 60_000)
  const expired = authority.issue({ hosts: ['localhost'], to: past })
  t.match(await asked(t, expired, { trusts: authority.cert }), /CERT_HAS_EXPIRED/)
  t.match(await asked(t, expired, { trusts: expired.cert }), /CERT_HAS_EXPIRED/, 'also where it is in the file itself')
  const other = authority.issue({ hosts: ['sql.example'] })
  t.match(await asked(t, other, { trusts: authority.cert }), /ERR_TLS_CERT_ALTNAME_INVALID/)
  t.equal(
    await asked(t, other, { trusts: authority.cert, query: '&hostNameInCertificate=sql.example' }),
    'encrypted',
    'unless the URL says which',
  )
  t.equal(await asked(t, other, { query: '&trustServerCertificate=true' }), 'encrypted', 'or that any will do')
})

t.test("SQL Server's own: trusted if it is the one in the file, whatever its name", async (t) => {
  const own = makeSelfSigned({ commonName: 'SSL_Self_Signed_Fallback' })
  t.equal(await asked(t, own, { trusts: own.cert }), 'encrypted')
  t.match(await asked(t, own, {}), /DEPTH_ZERO_SELF_SIGNED_CERT/)
  t.match(
    await asked(t, makeSelfSigned({ commonName: 'SSL_Self_Signed_Fallback' }), { trusts: own.cert }),
    /CERT_SIGNATURE_FAILURE|SELF_SIGNED/,
  )
})

t.test('a server that does not encrypt is not talked to', async (t) => {
  const clinic = await openClinic({
    url: `mssql://${username}:${password}@localhost:${plain}${pathname}`,
    timeZone: 'Asia/Baghdad',
    log,
  })
  await t.rejects(clinic.check(), { failure: 'down', message: /\(ENOENCRYPT\)/ })
  await clinic.close()
})

t.test('a file that cannot be used, and parameters that contradict each other, are named', async (t) => {
  const folder = t.testdir({ empty: '', key: '-----BEGIN PRIVATE KEY-----\nS3CRET\n-----END PRIVATE KEY-----\n' })
  const open = (query: string) => openClinic({ url: `mssql://u:s3cret@host/c?${query}`, timeZone: 'Asia/Baghdad', log })
  for (const [query, message] of [
    [`ca=${join(folder, 'none')}`, /file of its ca, ".*none" cannot be read \(ENOENT\)/],
    [`ca=${join(folder, 'empty')}`, /holds no certificate/],
    [`ca=${join(folder, 'key')}`, /holds no certificate/],
    ['encrypt=false&ca=x', /its ca would not be looked at with encrypt=false/],
    ['trustServerCertificate=true&ca=x', /its ca would not be looked at with trustServerCertificate=true/],
    ['encrypt=false&hostNameInCertificate=x', /hostNameInCertificate would not/],
  ] as const) {
    await t.rejects(open(query), { code: 'SYNC_CONFIG', message }, query)
    await t.rejects(open(query), { message: /^(?!.*s3cret)/i }, query)
  }
})
