import type { Side } from '@clinic-sync/contracts'
import { TABLE_NAMES, type TableName } from '@clinic-sync/mapping'
import { readSettings } from '@clinic-sync/runtime'
import { Argument, type Command, InvalidArgumentError } from 'commander'
import { adminUrl, asAdministrator, installsAsService, portalAdminUrl } from './admin-url.ts'
import { addAfterRestore } from './after-restore/command.ts'
import { addAlertTest } from './alert-test/command.ts'
import { backfillCommand, summaryLines } from './backfill/command.ts'
import { addDeadLetters } from './dead-letters/command.ts'
import { doctorCommand } from './doctor/command.ts'
import { doorbellCommand } from './doorbell/command.ts'
import { addExplain } from './explain/command.ts'
import { addInit } from './init/command.ts'
import { migrateBroker, namesBroker } from './migrate/broker.ts'
import { migrate } from './migrate/index.ts'
import { addRequeue } from './requeue/command.ts'
import { rootProgram, VERSION } from './root.ts'
import { addStatus } from './status/command.ts'
import { addSupportBundle } from './support-bundle/command.ts'
import { addTakeOver } from './take-over/command.ts'
import { addVerify } from './verify/command.ts'
import { addTrace } from './trace/command.ts'

/** All commands of `npm run sync --`, with what each does. Reads no setting before a command is run. */
export function syncProgram(): Command {
  const out = process.stdout
  const say = (line: string) => void out.write(`${line}\n`)

  const { program, environment } = rootProgram()

  addInit(program)

  program
    .command('migrate')
    .description('bring the schema sync of both databases up to date, and RabbitMQ’s queues; or one of the three')
    .addArgument(new Argument('[side]', 'which of them').choices(['clinic', 'portal', 'broker']))
    .option('--dry-run', 'say what would be applied, and do nothing', false)
    .option('--with-portal-tables', "also create the portal's own tables, for a portal that starts without them", false)
    .action(async (only: Side | 'broker' | undefined, options: { dryRun: boolean; withPortalTables: boolean }) => {
      const settings = environment()
      const isWanted = (each: Side | 'broker') => only === undefined || only === each
      for (const each of (['clinic', 'portal'] as const).filter(isWanted)) {
        const where =
          each === 'clinic'
            ? { url: adminUrl(settings), doorbell: readSettings(['CLINIC_DOORBELL'], settings).CLINIC_DOORBELL }
            : { url: portalAdminUrl(settings) }
        const asService = installsAsService(each, settings)
        await migrate({ side: each, ...where, asService, onLine: say, ...options })
      }
      if (only === 'broker' || (only === undefined && namesBroker(settings)))
        await migrateBroker({ environment: settings, dryRun: options.dryRun, onLine: say })
    })

  program
    .command('doorbell')
    .description('make the clinic’s database ring as CLINIC_DOORBELL says, and ring once')
    .option('--show', 'only say what is set', false)
    .action(async ({ show }: { show: boolean }) => {
      if (!(await doorbellCommand({ environment: environment(), show, say }))) process.exitCode = 1
    })

  program
    .command('backfill')
    .description('queue every row in scope, parents first, and wait until it has arrived in the portal')
    .option('-t, --table <table...>', `only these: ${TABLE_NAMES.join(', ')}`, tableNames)
    .option('--restart', 'start over instead of going on after the last interruption', false)
    .action(async (options: { table?: TableName[]; restart: boolean }) => {
      const stop = new AbortController()
      process.once('SIGINT', () => stop.abort())
      process.once('SIGTERM', () => stop.abort())
      try {
        const tables = options.table ? { tables: options.table } : {}
        const result = await backfillCommand({
          ...tables,
          restart: options.restart,
          environment: environment(),
          out,
          signal: stop.signal,
        })
        for (const line of summaryLines(result)) say(line)
        if (result.dead > 0 || result.unsettled > 0) process.exitCode = 1
      } catch (error) {
        if (!stop.signal.aborted) throw error
        say('Interrupted. What was queued still arrives; run it again to go on from here.')
        process.exitCode = 130
      }
    })

  program
    .command('doctor')
    .description('look at everything that the sync needs, and say what to do about what is wrong')
    .option('--json', 'print { ok, checks } and nothing else', false)
    .option('--as-admin', 'look at the clinic with the login of SQLSERVER_ADMIN_URL, which may see more', false)
    .action(async ({ json, asAdmin }: { json: boolean; asAdmin: boolean }) => {
      const settings = environment()
      // Ends now: a connection that hangs would keep the process for as long as it does.
      process.exit(
        await doctorCommand({
          environment: asAdmin ? asAdministrator(settings) : settings,
          json,
          envFile: program.opts<{ envFile?: string }>().envFile,
          out,
        }),
      )
    })

  addAlertTest(program, environment)
  addDeadLetters(program, environment)
  addExplain(program, environment)
  addStatus(program, environment)
  addRequeue(program, environment)
  addAfterRestore(program, environment)
  addSupportBundle(program, environment, VERSION)
  addTrace(program, environment)
  addTakeOver(program, environment)
  addVerify(program, environment)
  return program
}

function tableNames(value: string, before: TableName[] = []): TableName[] {
  const known = TABLE_NAMES.find((name) => name === value)
  if (known === undefined) throw new InvalidArgumentError(`Known are ${TABLE_NAMES.join(', ')}.`)
  return [...before, known]
}
