import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t from 'tap'

interface Run {
  readonly lines: Record<string, unknown>[]
  readonly stderr: string
  readonly code: number | null
}

/** Runs the fixture; sends SIGTERM when a line says `killAt`. */
function run(behaviour: string, environment: Record<string, string>, killAt?: string): Promise<Run> {
  const { PATH = '' } = process.env
  const child = spawn(
    process.execPath,
    [
      '--import=tsx',
      '--conditions=@clinic-sync/source',
      fileURLToPath(new URL('service-fixture.ts', import.meta.url)),
      behaviour,
    ],
    { env: { PATH, ...environment }, stdio: ['ignore', 'pipe', 'pipe'] },
  )
  let out = ''
  let stderr = ''
  let killed = false
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString()
    if (killAt !== undefined && !killed && out.includes(killAt)) {
      killed = true
      child.kill('SIGTERM')
    }
  })
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString()
  })
  return new Promise((resolve) => {
    child.once('close', (code) => {
      const lines = out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>)
      resolve({ lines, stderr, code })
    })
  })
}

const good = { RABBITMQ_URL: 'amqp://localhost' }

t.test('a missing setting is one line with what to do, and exit code 1', async (t) => {
  const { lines, stderr, code } = await run('', {})
  t.equal(code, 1)
  t.equal(stderr, '')
  t.equal(lines.length, 1)
  t.match(lines[0], {
    level: 'fatal',
    code: 'SYNC_CONFIG',
    msg: /^RABBITMQ_URL is missing: .*\.env\.example\)\. Correct/,
  })
})

t.test('a wrong log level is said as well', async (t) => {
  const { lines, code } = await run('', { ...good, LOG_LEVEL: 'loud' })
  t.equal(code, 1)
  t.match(lines, [{ msg: /^LOG_LEVEL must be one of/ }])
})

t.test('SIGTERM finishes what is in flight and ends with 0', async (t) => {
  const { lines, code } = await run('', good, 'started')
  t.equal(code, 0)
  t.strictSame(
    lines.map(({ msg }) => msg),
    ['started', 'stopping: finishing what is in flight', 'in flight finished', 'stopped'],
  )
})

t.test('SIGTERM during a start that waits ends it', async (t) => {
  const { lines, code } = await run('waits', good, 'waiting')
  t.equal(code, 0)
  t.equal(lines.at(-1)?.msg, 'stopped')
})

t.test('fail and an uncaught error end with 1 after closing; no value is shown', async (t) => {
  const failed = await run('fails', good)
  t.equal(failed.code, 1)
  t.match(
    failed.lines.find(({ level }) => level === 'fatal'),
    { msg: /^no schema sync in the portal\. Run `npm run sync -- migrate`/ },
  )
  const threw = await run('throws', good)
  t.equal(threw.code, 1)
  t.match(
    threw.lines.map(({ msg }) => msg),
    ['started', 'an unforeseen error', 'in flight finished'],
  )
  t.notMatch(JSON.stringify(threw), /Leila/)
})

t.test('a service with nothing left to wait for has failed', async (t) => {
  t.equal((await run('idle', good)).code, 1)
})
