/**
 * Runs a command with Postgres, RabbitMQ and a Chromium there, and ends with the command's exit code:
 *
 *     with-services [--yes] -- tap run
 *
 * They are told to it by POSTGRES_URL, RABBITMQ_URL, RABBITMQ_MANAGEMENT_URL and CHROMIUM_PATH. So a run of many test files starts the
 * servers once; a browser is started by who needs one.
 */
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { findBrowser } from './browser.ts'
import { startDevServices } from './dev-services.ts'
import { parseDevServicesFlags } from './flags.ts'
import { NoServiceError } from './service.ts'

const separator = process.argv.indexOf('--')
const [command, ...args] = separator < 0 ? [] : process.argv.slice(separator + 1)

async function main(): Promise<number> {
  if (!command) {
    console.error('usage: with-services [--yes] -- command [argument…]')
    return 2
  }
  const options = { say: (line: string) => console.error(line), ...parseDevServicesFlags(process.argv.slice(2)) }
  const browser = await findBrowser(options)
  options.say(browser.how)
  const services = await startDevServices({ need: ['postgres', 'rabbit'], durable: false, ...options })
  try {
    return await run(command, args, {
      ...process.env,
      POSTGRES_URL: services.postgres.url,
      RABBITMQ_URL: services.rabbit.url,
      CHROMIUM_PATH: browser.path,
      ...(services.rabbit.managementUrl ? { RABBITMQ_MANAGEMENT_URL: services.rabbit.managementUrl } : {}),
    })
  } finally {
    await services.stop()
  }
}

/** Exit code of the command, 128 + number if a signal ended it; signals to this process are passed on to it. */
function run(file: string, rest: string[], env: NodeJS.ProcessEnv): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, rest, { stdio: 'inherit', env })
    // Ctrl-C reaches the whole foreground group, the command included: here it only must not end the wait for it.
    process.on('SIGINT', () => undefined)
    for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal))
    child.once('error', reject)
    child.once('exit', (code, signal) => resolve(code ?? 128 + (signal ? constants.signals[signal] : 0)))
  })
}

try {
  process.exitCode = await main()
} catch (error) {
  if (!(error instanceof NoServiceError)) throw error
  console.error(error.message)
  process.exitCode = 1
}
