import { createInterface } from 'node:readline/promises'
import { parseArgs } from 'node:util'
import { type Demo, stageOf, startDemo } from './demo.ts'
import { follow } from './live/prompt.ts'
import { releasers } from './run/releasers.ts'
import { portalCommand } from './run/portal-command.ts'
import { noteRunning } from './run/running.ts'
import { sqlCommand } from './run/sql-command.ts'
import { type Screen, screenOn } from './screen.ts'
import { showComparison, showEdits } from './show.ts'

const USAGE = `npm run demo                    starts everything, shows live edits, and stays up until Ctrl-C
npm run demo -- --once          the same, compares both databases, and ends with 0 or 1
npm run demo -- --yes           does not ask: not before installing a missing RabbitMQ, not before filling an empty
                                database at SQLSERVER_URL
npm run demo -- sql "UPDATE …"  sends T-SQL to the clinic of a running demo, and shows what arrives in the portal
npm run demo -- portal "UPDATE …"
                                sends SQL to its portal as a doctor's edit, and shows what became of it in the clinic`

/** Commands for a demo that runs elsewhere. */
const COMMANDS: ReadonlyMap<string, (screen: Screen, statement: string) => Promise<number>> = new Map([
  ['sql', sqlCommand],
  ['portal', portalCommand],
])

const screen = screenOn(process.stdout)
const release = releasers()
let stopping = false

/** Ends the process when everything is undone; the first call decides the exit code. */
async function finish(code: number): Promise<void> {
  if (stopping) return
  stopping = true
  const left = await release.releaseAll()
  if (left.length > 0) screen.line(screen.bad(`Could not be stopped: ${left.join(', ')}.`))
  process.exit(left.length > 0 ? 1 : code)
}

function onSignal(): void {
  if (stopping) return
  screen.line(`\nStopping …`)
  void finish(0)
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { once: { type: 'boolean' }, yes: { type: 'boolean' }, help: { type: 'boolean' } },
  })
  const [word, ...rest] = positionals
  const command = COMMANDS.get(word ?? '')
  const statement = rest.join(' ').trim()
  if (values.help || (word !== undefined && (command === undefined || statement === ''))) {
    process.exitCode = values.help ? 0 : 1
    return screen.line(USAGE)
  }
  if (command !== undefined) {
    process.exitCode = await command(screen, statement)
    return
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal)
  // The reader of a pipe has gone (`| head`): nobody is there to be shown anything, but everything is still to be undone.
  process.stdout.on('error', () => void finish(1))
  const started = performance.now()
  screen.line(screen.strong('clinic-sync: a clinic’s SQL Server and a portal’s Postgres, kept equal'))
  const demo = await startDemo({
    screen,
    release,
    confirm: values.yes ? async () => true : confirm,
    yes: values.yes ?? false,
  })
  const arrived = await showEdits(screen, stageOf(demo))
  if (values.once) {
    const differences = await showComparison(screen, stageOf(demo))
    const fine = arrived && differences === 0
    screen.line(
      `  ${fine ? screen.good('All well') : screen.bad('Not well')} after ${((performance.now() - started) / 1000).toFixed(1)} s.`,
    )
    return finish(fine ? 0 : 1)
  }
  await stayUp(demo)
}

async function stayUp(demo: Demo): Promise<void> {
  const { addresses, services } = demo
  release.add(
    'note',
    await noteRunning({ ...addresses, ingressUrl: services.ingressUrl, operatorToken: services.operatorToken }),
  )
  screen.section('Running. Try it; Ctrl-C stops everything and leaves nothing behind')
  screen.pair('SQL Server', addresses.clinic)
  screen.pair('Postgres', addresses.portal)
  screen.pair('RabbitMQ', addresses.rabbit)
  if (demo.managementUrl !== undefined) screen.pair('its UI', managementFor(demo.managementUrl))
  screen.pair('status page', `${services.ingressUrl}/`)
  screen.pair('its token', services.operatorToken)
  screen.pair('ingress', `${services.ingressUrl}/readyz`)
  screen.pair('logs', `${demo.folder}/*.log`)
  screen.line('\n  From another terminal:')
  screen.line(`    npm run sync -- --env-file ${demo.settingsFile} doctor`)
  screen.line(`    npm run demo -- sql "UPDATE tblpatients SET Phone = '0750 111 2222' WHERE PersonID = 1"`)
  screen.line(`    npm run demo -- sql "SELECT Status, COUNT(*) AS n FROM SyncQueue GROUP BY Status"`)
  screen.line(`    npm run demo -- portal "UPDATE aligner_batches SET days = 9 WHERE aligner_batch_id = 5"`)
  screen.line(`    npm run demo -- sql "SELECT TOP (5) * FROM sync.Conflicts ORDER BY ConflictID DESC"`)
  screen.line(
    `    curl -X POST ${services.ingressUrl}/api/sync/trigger -H 'authorization: Bearer ${services.operatorToken}'`,
  )
  screen.line(process.stdin.isTTY ? '\n  Or type T-SQL here; what arrives in the portal is shown:\n' : '')
  const end = follow(screen, demo.clinic, demo.arrivals, services.ring, onSignal)
  release.add('prompt', async () => end())
  const child = await services.died
  throw new Error(`${child.name} has ended. Its last log lines:\n${child.tail()}`)
}

/** The management UI and its login, which a browser does not take from the address. */
function managementFor(managementUrl: string): string {
  const { origin, username, password } = new URL(managementUrl)
  return `${origin} (user ${username}, password ${password})`
}

async function confirm(question: string): Promise<boolean> {
  if (!process.stdin.isTTY) throw new Error(`${question} Say --yes to go on.`)
  const ask = createInterface({ input: process.stdin, output: process.stdout })
  try {
    return /^y(es)?$/i.test((await ask.question(`  ${question} [y/N] `)).trim())
  } finally {
    ask.close()
  }
}

main().catch((error: unknown) => {
  // While stopping, whatever was under way fails: that is no news.
  if (stopping) return
  screen.line(`\n${screen.bad(error instanceof Error ? error.message : String(error))}`)
  void finish(1)
})
