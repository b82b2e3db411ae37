import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const script = fileURLToPath(new URL('../src/with-services.ts', import.meta.url))
const given = {
  POSTGRES_URL: 'postgres://db.example/postgres',
  RABBITMQ_URL: 'amqp://broker.example',
  RABBITMQ_MANAGEMENT_URL: 'http://broker.example:15672',
  // Any program that can say its version.
  CHROMIUM_PATH: process.execPath,
}

type Result = { code: unknown; output: string; errors: string }

/** Runs a command with services; they are given, so that none is started. */
function run(...command: string[]): Promise<Result> {
  const loader = `--import=${import.meta.resolve('tsx')}`
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [loader, script, ...command],
      { env: { ...process.env, ...given } },
      (error, output, errors) => resolve({ code: error?.code ?? 0, output, errors }),
    )
  })
}

t.test('the command finds the services in its environment, and its exit code is kept', async (t) => {
  const code = 'console.log(process.env.POSTGRES_URL, process.env.RABBITMQ_MANAGEMENT_URL); process.exit(42)'
  const result = await run('--', process.execPath, '-e', code)
  t.equal(result.code, 42)
  t.equal(result.output, `${given.POSTGRES_URL} ${given.RABBITMQ_MANAGEMENT_URL}\n`)
  t.match(result.errors, 'Postgres: postgres://db.example/postgres (POSTGRES_URL)\n')
})

t.test('a command that a signal ended is a failure', async (t) => {
  t.equal((await run('--', process.execPath, '-e', 'process.kill(process.pid, "SIGKILL")')).code, 137)
})

t.test('no command: says how it is used', async (t) => {
  const result = await run('--yes')
  t.equal(result.code, 2)
  t.match(result.errors, 'usage:')
})
