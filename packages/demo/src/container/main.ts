import { spawn } from 'node:child_process'
import { mkdtemp } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { readSettings } from '@clinic-sync/runtime'
import { listenForArrivals } from '../live/arrivals.ts'
import { serverZone } from '../run/server-zone.ts'
import { screenOn } from '../screen.ts'
import { showComparison, showEdits, type Stage } from '../show.ts'
import { prepareDatabases } from './prepare.ts'

// The runner of `docker compose --profile demo up`. It fills the demo's two databases, lets the services start (the one-shot `migrate`
// waits for the port below), edits both databases, compares them, and ends; everything else stays up.

/** packages/container/src/migrate.ts waits for it. */
const READY_PORT = 3002
/** The ingress starts after RabbitMQ and `migrate`. */
const SERVICES_MS = 300_000
const MAIN = fileURLToPath(new URL('../../../cli/dist/main.js', import.meta.url))
const HELP = [
  'Running. It stays up until Ctrl-C, or docker compose --profile demo down -v',
  '  docker compose run --rm sync status',
  '  docker compose exec demo-postgres psql -U postgres portal',
  '  docker compose exec demo-sqlserver /opt/mssql-tools18/bin/sqlcmd -C -U sa -P Demo_only_1 -d clinic',
  '  http://127.0.0.1:3000/ is the status page (its token: deploy/demo/secrets/operator_token)',
  '  http://127.0.0.1:15672 is RabbitMQ’s management UI (user operator, password demo-only)',
]

const screen = screenOn(process.stdout)
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => process.exit(130))

async function main(): Promise<boolean> {
  if (process.env.SECRETS_DIR) {
    screen.line(
      '.env names a SECRETS_DIR, so this folder is a clinic’s: the demo, which edits rows, does nothing here.',
    )
    screen.line('Try it in a fresh copy of the project, where init has not run.')
    return false
  }
  const settings = readSettings([
    'SQLSERVER_URL',
    'SQLSERVER_ADMIN_URL',
    'POSTGRES_URL',
    'POSTGRES_ADMIN_URL',
    'SYNC_WEBHOOK_SECRET',
    'INGRESS_URL',
    'CLINIC_TIME_ZONE',
  ])
  const addresses = {
    clinic: settings.SQLSERVER_URL,
    clinicAdmin: settings.SQLSERVER_ADMIN_URL,
    portal: settings.POSTGRES_URL,
    portalAdmin: settings.POSTGRES_ADMIN_URL,
  }
  screen.section('Filling the two databases')
  const folder = await mkdtemp(join(tmpdir(), 'demo-'))
  const { clinic, doorbell, fresh } = await prepareDatabases(addresses, screen, folder)
  const zone = await serverZone(clinic)
  if (zone !== settings.CLINIC_TIME_ZONE)
    screen.line(screen.faint(`  The server’s clock is in the zone ${zone}; the services take CLINIC_TIME_ZONE.`))
  createServer((_request, response) => response.end('filled\n')).listen(READY_PORT)

  screen.section('Waiting for RabbitMQ and the services')
  await untilReady(`${settings.INGRESS_URL}/readyz`)
  screen.section('Bringing the clinic into the empty portal: backfill')
  await run('backfill')

  const arrivals = await listenForArrivals(addresses.portalAdmin, fresh)
  const headers = { authorization: `Bearer ${settings.SYNC_WEBHOOK_SECRET}` }
  const notify = `${settings.INGRESS_URL}/api/sync/queue-notify`
  const ring = async () => {
    if (doorbell === 'http') await (await fetch(notify, { method: 'POST', headers })).body?.cancel()
  }
  const stage: Stage = {
    people: { clinic, portal: arrivals, ring },
    clinicUrl: addresses.clinicAdmin,
    portalUrl: addresses.portalAdmin,
    timeZone: settings.CLINIC_TIME_ZONE,
    during: (work) => work,
  }
  // They would find their own values there, and nothing to change.
  if (!fresh)
    screen.line('\n  The edits were made when these databases were new: docker compose --profile demo down -v')
  const arrived = fresh ? await showEdits(screen, stage) : true
  const differences = await showComparison(screen, stage)
  screen.line(arrived && differences === 0 ? screen.good('  All well.') : screen.bad('  Not well.'))
  for (const line of HELP) screen.line(line)
  return arrived && differences === 0
}

/** Runs one of the operator's commands. @throws Error if it does not end with 0 */
function run(command: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [MAIN, command], { stdio: 'inherit' })
    child.once('error', reject)
    child.once('exit', (code) => (code === 0 ? resolve() : reject(new Error(`${command} ended with ${code}.`))))
  })
}

async function untilReady(url: string): Promise<void> {
  const deadline = performance.now() + SERVICES_MS
  while (true) {
    const answer = await fetch(url).catch(() => null)
    await answer?.body?.cancel()
    if (answer?.ok) return
    if (performance.now() > deadline)
      throw new Error('The ingress is not ready: docker compose logs migrate ingress says why.')
    await delay(500)
  }
}

main().then(
  (fine) => process.exit(fine ? 0 : 1),
  (error: unknown) => {
    screen.line(screen.bad(error instanceof Error ? error.message : String(error)))
    process.exit(1)
  },
)
