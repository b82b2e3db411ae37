import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { databasePlaces } from './database-places.ts'
import { untilReachable } from './until-reachable.ts'

// The one-shot before the services: docker-compose.yml's `migrate`. The host may have started a moment ago, and its SQL Server
// with it; the demo's databases have to be filled first. What then fails is said by the command itself.

/** Where the demo says that its databases are filled: packages/demo/src/container. */
const DEMO = { host: 'demo', port: 3002 }
const MAIN = fileURLToPath(new URL('../../cli/dist/main.js', import.meta.url))

const say = (line: string) => void process.stdout.write(`${line}\n`)
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => process.exit(130))

/** docker-compose.yml passes it on as .env has it: empty where `init` has never run, and the secrets are the demo's. */
if (!process.env.SECRETS_DIR) {
  const refusal = await untilReachable(DEMO, {
    patience: 300_000,
    unknown: 15_000,
    onWaiting: () => say('There is no .env here: waiting for the demo to fill its databases.'),
  })
  if (refusal !== null) {
    say('There is no .env here, so there is no clinic to connect. Make one: docker compose run --rm init')
    say('Or try it with an invented clinic: docker compose --profile demo up')
    process.exit(1)
  }
}
for (const place of databasePlaces(process.env))
  await untilReachable(place, {
    patience: 60_000,
    unknown: 5_000,
    onWaiting: () => say(`Waiting for ${place.host}:${place.port}.`),
  })

const command = spawn(process.execPath, [MAIN, 'migrate'], { stdio: 'inherit' })
command.once('exit', (code) => process.exit(code ?? 1))
command.once('error', () => process.exit(1))
