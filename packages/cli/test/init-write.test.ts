import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import t from 'tap'
import { envText } from '../src/init/env-file.ts'
import { SECRET_FILE_NAMES, type Secrets } from '../src/init/layout.ts'
import { readPrevious } from '../src/init/previous.ts'
import { copiesWith, writeFiles } from '../src/init/write.ts'

// What init writes, where it is interrupted, and what it makes of a .env that somebody has edited.

const secrets = (text: string) => Object.fromEntries(SECRET_FILE_NAMES.map((name) => [name, text])) as Secrets
const plain = {
  CLINIC_TIME_ZONE: 'Asia/Baghdad',
  CLINIC_DOORBELL: 'none',
  PORTAL_DOORBELL: 'none',
  INGRESS_HOST: '127.0.0.1',
  INGRESS_PORT: '3000',
  INGRESS_URL: 'http://127.0.0.1:3000',
  DOORBELL_URL: '',
  INGRESS_BIND: '127.0.0.1',
}

t.test('a file that cannot be replaced: all is as it was', async (t) => {
  const folder = t.testdir({})
  const all = () => [
    ...SECRET_FILE_NAMES.map((name) => join('secrets', name)),
    join('secrets', 'ca', 'new.crt'),
    join('secrets', 'ca', 'old.crt'),
    '.env',
  ]
  const texts = () => all().map((name) => existsSync(join(folder, name)) && readFileSync(join(folder, name), 'utf8'))
  const write = (text: string, certificate: string, rename?: typeof renameSync) =>
    writeFiles(
      folder,
      { env: `A=${text}\n`, secrets: secrets(text), certificates: new Map([[certificate, text]]) },
      undefined,
      rename,
    )
  write('one', 'old.crt')
  const before = texts()
  for (const stubborn of ['webhook_secret', '.env']) {
    const rename: typeof renameSync = (from, to) => {
      if (String(to).endsWith(stubborn)) throw Object.assign(new Error('in use'), { code: 'EBUSY' })
      renameSync(from, to)
    }
    t.throws(() => write('two', 'new.crt', rename), { code: 'SYNC_CONFIG', message: /EBUSY.*nothing was changed/ })
    t.same(texts(), before, stubborn)
  }

  // A run was killed, and has left what it had written.
  mkdirSync(join(folder, 'secrets', '.new-abc', 'secrets'), { recursive: true })
  writeFileSync(join(folder, 'secrets', '.new-abc', 'secrets', 'operator_token'), 'left over')
  write('three', 'new.crt')
  t.notOk(readdirSync(join(folder, 'secrets')).some((name) => name.startsWith('.new')))
  t.equal(readFileSync(join(folder, 'secrets/operator_token'), 'utf8'), 'three\n')
})

t.test('copies of what has been forgotten are found', async (t) => {
  const copy = (env: string, url: string) => ({
    '.env': env,
    secrets: { sqlserver_admin_url: url, webhook_secret: 'x' },
  })
  const folder = t.testdir({
    secrets: {
      sqlserver_admin_url: '',
      'before-1': copy('A=1\n', ''),
      'before-2': copy('A=1\n', 'mssql://sa:x@h/d\n'),
      'before-3': copy('SQLSERVER_ADMIN_URL=mssql://sa:x@h/d\n', ''),
    },
  })
  t.same(copiesWith(folder, ['sqlserver_admin_url'], /^SQLSERVER_ADMIN_URL=\S/m), [
    join('secrets', 'before-2'),
    join('secrets', 'before-3'),
  ])
})

t.test('what somebody has added to .env stays as it is written', async (t) => {
  const added = [
    "A='a$b'",
    'B="it\'s $HOME"',
    'C=`both \' and "`',
    "D='two\nlines=x'",
    'E=${HOME}/data',
    "F='# no comment'",
    'export G = 1',
    'H=',
  ].join('\n')
  for (const end of ['\n', '\r\n']) {
    const text = `A=1\nINGRESS_PORT=1\n${added}\n`.replaceAll('\n', end)
    const folder = t.testdir({ '.env': `\uFEFF${text}` })
    const written = envText(plain, readPrevious(folder))
    t.ok(written.endsWith(`${added}\n`), written)
    const before = parseEnv(text.replaceAll('\r\n', '\n'))
    t.match(parseEnv(written), { ...before, INGRESS_PORT: '3000' })
  }
})

t.test('what was secret in the .env of an earlier version is not in the new one', async (t) => {
  const former =
    'RABBITMQ_PASSWORD=s3cret\nSQLSERVER_URL=mssql://a:s3cret@h/d\nSYNC_WEBHOOK_SECRET=s3cret-s3cret-s3cret\n'
  const previous = readPrevious(t.testdir({ '.env': former }))
  t.notMatch(envText(plain, previous), /s3cret/)
  t.equal(previous.secret('sqlserver_url'), 'mssql://a:s3cret@h/d')
})

t.test('a .env that cannot be read is there all the same', async (t) => {
  const folder = t.testdir({ '.env': Buffer.from('\uFEFFA=1\n', 'utf16le') })
  t.match(readPrevious(folder), { exists: true, lines: new Map() })
})
