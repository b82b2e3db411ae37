import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { testClinic } from '@clinic-sync/dev-services/testing'
import { openScriptConnection } from '@clinic-sync/clinic'
import t from 'tap'

// The commands as an operator runs them, where what matters is how they are started, and what they say.
const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url))
const NODE = [`--import=${import.meta.resolve('tsx')}`, '--conditions=@clinic-sync/source', MAIN]

async function run(cwd: string, args: readonly string[], environment: Readonly<Record<string, string>> = {}) {
  const own = Object.entries(process.env).filter(([name]) => !/^npm_config_|_URL$/i.test(name))
  const child = spawn(process.execPath, [...NODE, ...args], {
    cwd,
    env: { ...Object.fromEntries(own), ...environment },
  })
  let text = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (part: string) => (text += part))
  const [code] = (await once(child, 'close')) as [number | null]
  return { text, code }
}

t.test('a flag that npm has kept stops the command before anything is done', async (t) => {
  let connections = 0
  const server = createServer((socket) => {
    connections++
    socket.destroy()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const urls = {
    SQLSERVER_URL: `mssql://a:b@127.0.0.1:${port}/clinic`,
    POSTGRES_URL: `postgres://a:b@127.0.0.1:${port}/x`,
  }
  const { text, code } = await run(t.testdir(), ['migrate', 'portal'], { ...urls, npm_config_dry_run: 'true' })
  t.equal(
    text,
    'npm has kept --dry-run for itself, so nothing was done: write npm run sync -- migrate portal --dry-run ' +
      "(in PowerShell: npm run sync '--' migrate portal --dry-run, or use the Command Prompt).\n",
  )
  t.same([code, connections], [1, 0])
})

t.test('what is wrong with the command itself is not looked for in the settings', async (t) => {
  const { text, code } = await run(t.testdir(), ['requeue', '--key', '5'])
  t.equal(text, '--key needs --table. Correct the command; with --help it says what it takes.\n')
  t.equal(code, 1)
})

t.test('a doorbell that cannot be switched on: to run the same command is not the advice', async (t) => {
  const { url } = await testClinic(t)
  const clinic = openScriptConnection(url)
  await clinic.batch("EXEC sync.UseDoorbell @Doorbell = N'none'")
  await clinic.batch('ALTER DATABASE [clinic] SET DISABLE_BROKER WITH ROLLBACK IMMEDIATE')
  await clinic.close()
  const { text, code } = await run(t.testdir(), ['doorbell'], { SQLSERVER_URL: url })
  t.match(text, /SET ENABLE_BROKER WITH ROLLBACK IMMEDIATE;.*Then run this command again\.\n$/)
  t.notMatch(text, /npm run sync -- doorbell/)
  t.equal(code, 1)
})

t.test('no settings at all: which is missing, and that there is no .env', async (t) => {
  const { text, code } = await run(t.testdir(), ['migrate', 'portal'])
  t.match(text, /^POSTGRES_URL is missing: .*; there is no \.env in the current folder /)
  t.equal(code, 1)
})
