import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { makeAuthority, makeSelfSigned, testPostgresServer } from '@clinic-sync/dev-services/testing'
import pg from 'pg'
import t from 'tap'
import { portalAddress } from '../src/address.ts'
import { openPool } from '../src/pool.ts'
import { openWaiting } from '../src/waiting.ts'
import { PATIENCE } from '@clinic-sync/sync'

const log = { info: () => undefined, warn: () => undefined }
const authority = makeAuthority()
const past = new Date(Date.now() - 60_000)
/** Not for 127.0.0.1. */
const good = authority.issue({ hosts: ['localhost'] })
const files = t.testdir({
  'right.crt': authority.cert,
  'wrong.crt': makeAuthority().cert,
  'own.crt': good.cert,
  'empty.crt': '',
})
const server = await testPostgresServer(t, { tls: good })

const at = (host: string, query: string) => {
  const url = new URL(server.url)
  url.hostname = host
  url.search = query
  return url.href
}
const trusting = (file: string) => `?sslrootcert=${encodeURIComponent(join(files, file))}`

/** Whether the connection was encrypted, or why there was none. */
async function asked(url: string): Promise<string> {
  let encrypted = false
  const database = openPool(url, log, (is) => (encrypted = is))
  try {
    const [row] = await database.query('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()')
    return `${encrypted ? 'encrypted' : 'in the clear'} (${row?.['ssl']})`
  } catch (error) {
    return error instanceof Error ? error.message : 'thrown'
  } finally {
    await database.close()
  }
}

t.test('the right authority, the right name', async (t) => {
  t.equal(await asked(at('localhost', trusting('right.crt'))), 'encrypted (t)')
  for (const mode of ['verify-full', 'verify-ca', 'require'])
    t.equal(await asked(at('localhost', `${trusting('right.crt')}&sslmode=${mode}`)), 'encrypted (t)', mode)
  t.equal(
    await asked(at('127.0.0.1', trusting('own.crt'))),
    'encrypted (t)',
    'the very certificate, under another name',
  )
})

t.test('nobody else', async (t) => {
  t.match(await asked(at('localhost', trusting('wrong.crt'))), /not trusted here \(UNABLE_TO_GET_ISSUER_CERT_LOCALLY\)/)
  for (const mode of ['verify-full', 'require'])
    t.match(await asked(at('localhost', `?sslmode=${mode}`)), /UNABLE_TO_VERIFY_LEAF_SIGNATURE/, mode)
  t.match(await asked(at('127.0.0.1', trusting('right.crt'))), /for another name \(ERR_TLS_CERT_ALTNAME_INVALID\)/)
  t.equal(await asked(at('127.0.0.1', '?sslmode=no-verify')), 'encrypted (t)', 'unless any will do')
})

t.test('the clear must be asked for, unless it is this machine', async (t) => {
  t.equal(await asked(at('localhost', '')), 'in the clear (f)')
  t.equal(await asked(at('127.0.0.1', '?sslmode=disable')), 'in the clear (f)')
  const encrypts = (url: string) => portalAddress(url).ssl !== false
  for (const host of [
    'localhost',
    '127.0.0.1',
    '127.9.9.9',
    '[::1]',
    '%2Frun%2Fpostgresql',
    'x/d?host=/run/postgresql',
  ])
    t.notOk(encrypts(`postgres://u:p@${host}`), host)
  for (const host of [
    'db.example',
    '192.0.2.7',
    '[2001:db8::1]',
    'localhost.example',
    '127.0.0.1.example',
    'host.docker.internal',
  ])
    t.ok(encrypts(`postgres://u:p@${host}/d`), host)
  t.ok(encrypts('postgres://u:p@localhost/d?host=db.example'))
  t.notOk(encrypts('postgres://u:p@db.example/d?sslmode=disable'))
  t.equal(
    portalAddress('postgres://u:p%40@h/d?sslmode=disable&options=-c%20x').connectionString,
    'postgres://u:p%40@h/d?options=-c+x',
  )
})

t.test('PGSSLMODE and PGSSLROOTCERT of the environment change nothing', async (t) => {
  t.teardown(() => delete process.env['PGSSLMODE'])
  process.env['PGSSLMODE'] = 'no-verify'
  t.match(await asked(at('localhost', '?sslmode=verify-full')), /UNABLE_TO_VERIFY_LEAF_SIGNATURE/)
  process.env['PGSSLMODE'] = 'disable'
  t.equal(await asked(at('localhost', trusting('right.crt'))), 'encrypted (t)')
})

t.test('a server that does not encrypt, or somebody in between who says so, is not talked to', async (t) => {
  const heard: Buffer[] = []
  const liar = createServer((socket) =>
    socket.on('data', (chunk) => heard.push(chunk) && socket.write('N')).on('error', () => {}),
  )
  await new Promise<void>((resolve) => liar.listen(0, '127.0.0.1', resolve))
  t.teardown(() => liar.close())
  const { port } = liar.address() as { port: number }
  for (const mode of ['require', 'verify-full', 'no-verify']) {
    const url = `postgres://u:s3cret@127.0.0.1:${port}/d?sslmode=${mode}`
    t.match(await asked(url), /The server does not support SSL connections/, mode)
  }
  t.notMatch(Buffer.concat(heard).toString('latin1'), /s3cret|user/, 'nobody has said who we are')
})

t.test('the doorbell is heard over TLS', async (t) => {
  const url = at('localhost', trusting('right.crt'))
  const database = openPool(url, log)
  t.teardown(() => database.close())
  await database.script(`CREATE SCHEMA sync; CREATE TABLE sync.queue (id int);
    CREATE FUNCTION sync.ring() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NOTIFY sync_queue; RETURN NULL; END $$;
    CREATE TRIGGER ring_listeners AFTER INSERT ON sync.queue EXECUTE FUNCTION sync.ring()`)
  const waiting = openWaiting(url, database, PATIENCE)
  t.teardown(() => waiting.close())
  const { signal } = new AbortController()
  t.equal(await waiting.wait(signal), 'connected')
  const rung = waiting.wait(signal)
  await database.query('INSERT INTO sync.queue VALUES (1)')
  t.equal(await rung, 'changed')
  const [row] = await database.query(
    "SELECT count(*) AS n FROM pg_stat_activity a JOIN pg_stat_ssl s USING (pid) WHERE s.ssl AND a.application_name = 'clinic-sync doorbell'",
  )
  t.equal(row?.['n'], '1')
})

t.test('an expired certificate, and the same in our own file', async (t) => {
  const expired = makeSelfSigned({ commonName: 'localhost', hosts: ['localhost'], to: past })
  const admin = new pg.Client(server.url)
  await admin.connect()
  const { rows } = await admin.query<{ cert: string; key: string }>(
    "SELECT current_setting('ssl_cert_file') AS cert, current_setting('ssl_key_file') AS key",
  )
  writeFileSync(rows[0]?.cert ?? '', expired.cert)
  writeFileSync(rows[0]?.key ?? '', expired.key)
  writeFileSync(join(files, 'expired.crt'), expired.cert)
  await admin.query('SELECT pg_reload_conf()')
  await admin.end()
  let said = ''
  // The postmaster reads it when it comes to it.
  while (!/expired/.test((said = await asked(at('localhost', trusting('expired.crt'))))) && !t.timedOut)
    await new Promise(setImmediate)
  t.match(said, /the server's certificate has expired \(CERT_HAS_EXPIRED\)/)
})

t.test('what cannot be used is named, without the URL', async (t) => {
  for (const [query, message] of [
    ['sslmode=prefer', /sslmode=prefer would go on without encryption/],
    ['sslmode=allow', /sslmode=allow would go on/],
    ['sslmode=s3cret', /its sslmode is unknown/],
    ['ssl=true', /write sslmode/],
    ['sslmode=disable&sslrootcert=x', /names a certificate, and sslmode=disable/],
    ['sslmode=no-verify&sslrootcert=x', /checks none/],
    ['sslcert=x', /belong together/],
    [`sslrootcert=${join(files, 'none.crt')}`, /file of its sslrootcert, ".*none\.crt" cannot be read \(ENOENT\)/],
    [`sslrootcert=${join(files, 'empty.crt')}`, /holds no certificate/],
  ] as const) {
    const open = (host: string) => () => portalAddress(`postgres://u:s3cret@${host}/d?${query}`)
    for (const host of ['db.example', 'localhost']) {
      t.throws(open(host), { code: 'SYNC_CONFIG', message }, query)
      t.throws(open(host), { message: /^(?!.*s3cret)/ }, query)
    }
  }
  t.throws(() => portalAddress('s3cret', 'POSTGRES_ADMIN_URL'), {
    message: /^POSTGRES_ADMIN_URL cannot be used: it is not a URL/,
  })
})
