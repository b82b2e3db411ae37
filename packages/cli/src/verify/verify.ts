import { type Clinic, openClinic } from '@clinic-sync/clinic'
import { DIRECTIONS } from '@clinic-sync/broker'
import type { Verification } from '@clinic-sync/contracts'
import type { TableName } from '@clinic-sync/mapping'
import {
  RepairPlan,
  repairDifferences,
  verify,
  type VerifyProgress,
  type VerifyRepaired,
  type VerifyRepairProgress,
} from '@clinic-sync/operations'
import { openPortal, type Portal } from '@clinic-sync/portal'
import { createLogger, type Environment, readSettings } from '@clinic-sync/runtime'
import { DatabaseError, findRestored, type Patience, SyncError } from '@clinic-sync/sync'
import { adminUrl, portalAdminUrl } from '../admin-url.ts'
import { alone } from '../after-restore/alone.ts'
import { ringIngress } from '../backfill/ring.ts'
import { keepSmall } from '../small-heap.ts'
import { tellIngress } from './tell.ts'
import { repairBar, verifyBar } from './progress.ts'
import { planLines, repairedLines, SHOWN, SHOWN_JSON, told, type ToldDifference, verificationLines } from './report.ts'

export interface VerifyCommand {
  readonly environment: Environment
  readonly tables?: readonly TableName[]
  readonly repair: boolean
  readonly dryRun: boolean
  readonly yes: boolean
  readonly json: boolean
  readonly showValues: boolean
  readonly patienceMs: number
  readonly out: Pick<NodeJS.WriteStream, 'write'>
  readonly progressOn: NodeJS.WriteStream
  readonly signal: AbortSignal
  /** How long a silent database is borne with. */
  readonly silence?: Patience
  /** Missing: nobody is there to be asked. */
  readonly ask?: () => Promise<boolean>
}

/** 0: equal. 1: differences. 3: no difference, but records that were still on their way. 130: interrupted. */
export type VerifyExit = 0 | 1 | 3 | 130

/**
 * Compares, keeps the result, and repairs where that is asked for: with the services' login, or for a repair with those that install.
 *
 * @throws SyncError in words for the operator, DatabaseError
 */
export async function verifyCommand(command: VerifyCommand): Promise<VerifyExit> {
  const { environment, repair, dryRun, yes, json, ask } = command
  if ((dryRun || yes) && !repair) throw new SyncError('SYNC_USAGE', '--dry-run and --yes belong to --repair.')
  const sends = repair && !dryRun
  if (sends && !yes && (ask === undefined || json))
    throw new SyncError('SYNC_USAGE', 'There is no terminal to ask on: add --yes, or --dry-run.')
  const log = createLogger({ name: 'verify', level: 'silent' })
  const urls = urlsFor(environment, sends)
  const { CLINIC_TIME_ZONE: timeZone } = readSettings(['CLINIC_TIME_ZONE'], environment)
  const patience = command.silence && { patience: command.silence }
  const clinic = await openClinic({ url: urls.clinic, timeZone, log, ...patience })
  const portal = await openPortal({ url: urls.portal, log, ...patience })
  try {
    await Promise.all([clinic.check(), portal.check()])
    if (!sends) return await compareAndRepair(command, clinic, portal)
    const work = (unlocked: AbortSignal) => compareAndRepair(command, clinic, portal, unlocked)
    return await alone(urls.portal, 'verify --repair', work)
  } finally {
    await Promise.all([clinic.close(), portal.close()])
  }
}

function urlsFor(environment: Environment, sends: boolean): { clinic: string; portal: string } {
  if (sends) return { clinic: adminUrl(environment), portal: portalAdminUrl(environment) }
  const { SQLSERVER_URL: clinic, POSTGRES_URL: portal } = readSettings(['SQLSERVER_URL', 'POSTGRES_URL'], environment)
  return { clinic, portal }
}

/** @param unlocked other repairs are not kept away any more: nothing is to be sent */
async function compareAndRepair(
  command: VerifyCommand,
  clinic: Clinic,
  portal: Portal,
  unlocked?: AbortSignal,
): Promise<VerifyExit> {
  const { repair, dryRun, yes, json, ask, signal, environment } = command
  const say = (line: string) => void (json || command.out.write(`${line}\n`))
  if (repair) await refuseRestored(clinic, portal)
  if (repair && !dryRun) await refuseOthers(clinic, portal)
  const compared = await compare(command, clinic, portal)
  if (compared === null) return 130
  const { verification, differences, plan } = compared
  for (const line of verificationLines(verification, differences)) say(line)
  const answer = (result: Verification, repaired: VerifyRepaired | null): VerifyExit => {
    if (json) command.out.write(`${asJson(result, differences, plan, repaired)}\n`)
    return result.differences > 0 ? 1 : result.inFlight > 0 ? 3 : 0
  }
  if (!repair || verification.differences === 0) return answer(verification, null)

  say('')
  for (const line of planLines(plan)) say(line)
  if (plan.isEmpty || dryRun) {
    say(plan.isEmpty ? 'There is nothing to be sent.' : 'Nothing was sent.')
    return answer(verification, null)
  }
  if (!yes && !(await ask?.())) {
    say('Nothing was sent.')
    return answer(verification, null)
  }
  // The comparison takes minutes, and an answer may take hours.
  await refuseRestored(clinic, portal)
  const { INGRESS_URL, SYNC_OPERATOR_TOKEN } = readSettings(['INGRESS_URL', 'SYNC_OPERATOR_TOKEN'], environment)
  const bar = repairBar(command.progressOn)
  let far: VerifyRepairProgress | 'repaired' | undefined
  try {
    const repaired = await repairDifferences(
      {
        clinic,
        portal,
        signal: unlocked ? AbortSignal.any([signal, unlocked]) : signal,
        patienceMs: command.patienceMs,
        progress(progress) {
          far = progress
          bar.at(progress)
        },
        async ring() {
          bar.stop()
          for (const direction of DIRECTIONS) await ringOrSay(direction)
        },
      },
      plan.keys,
    )
    bar.stop()
    far = 'repaired'
    for (const line of repairedLines(repaired)) say(line)
    const result = after(verification, repaired)
    await keep(command, portal, result)
    return answer(result, repaired)
  } catch (error) {
    bar.stop()
    if (!signal.aborted) throw stoppedAmid(error, far)
    say('Interrupted: what was queued arrives by itself. Run it again for what is left.')
    return 130
  }

  async function ringOrSay(direction: (typeof DIRECTIONS)[number]): Promise<void> {
    // Its answer waits until RabbitMQ has all, which where that is silent, or blocked, is not soon.
    const late = AbortSignal.timeout(command.patienceMs)
    try {
      await ringIngress(INGRESS_URL, SYNC_OPERATOR_TOKEN, AbortSignal.any([signal, late]), direction)
    } catch (error) {
      if (late.aborted && !signal.aborted)
        return say(
          'It goes on without us: the ingress has not yet sent all that is queued, and `npm run sync -- status` says why',
        )
      if (!(error instanceof SyncError)) throw error
      say(`It goes with the next drain: ${error.message}`)
    }
  }
}

/** A database that fails amid the repair: what it says, and what is left to be done. */
function stoppedAmid(error: unknown, far: VerifyRepairProgress | 'repaired' | undefined): unknown {
  if (!(error instanceof DatabaseError)) return error
  const { failure, code, number, message } = error
  const left =
    far === 'repaired' ? 'The status does not tell of it' : 'What was sent arrives by itself; run it again for the rest'
  // What Postgres itself says does not name it.
  const what = /portal|clinic|SQL Server|sync\.[A-Z]/.test(message) ? message : `the portal's database: ${message}`
  const said = `${howFar(far)}: ${what.replace(/[.]$/, '')}. ${left}.`
  return new DatabaseError(failure, said, { code, number, cause: error })
}

function howFar(far: VerifyRepairProgress | 'repaired' | undefined): string {
  if (far === 'repaired') return 'The repair is done, but its result could not be kept'
  if (far === undefined) return 'The repair stopped before the first record was dealt with'
  const { rows, of, stage } = far
  const figures = `${rows.toLocaleString('en')} of ${of.toLocaleString('en')} ${of === 1 ? 'record' : 'records'}`
  return stage === 'queued'
    ? `The repair stopped with ${figures} dealt with`
    : `The repair has sent all, and stopped while ${figures} had arrived`
}

/** What went back would be taken for the truth, and be sent over the newer rows. */
async function refuseRestored(clinic: Clinic, portal: Portal): Promise<void> {
  const { restored, repairing } = await findRestored({ clinic, portal })
  const [first] = restored
  if (first !== undefined)
    throw new SyncError('SYNC_RESTORED', `The ${first.side}'s database was restored from a backup: it ${first.why}`)
  if (repairing) throw new SyncError('SYNC_RESTORED', 'A database that was restored from a backup is being repaired')
}

/** Before the comparison, which takes minutes. @throws SyncError SYNC_CONFIG where a login may not repair */
async function refuseOthers(clinic: Clinic, portal: Portal): Promise<void> {
  const tried = async (work: Promise<unknown>, setting: string) => {
    try {
      await work
    } catch (error) {
      if (!(error instanceof DatabaseError) || !DENIED.has(error.number ?? '')) throw error
      throw new SyncError(
        'SYNC_CONFIG',
        `A repair needs the login that installs: ${setting} is not set, or is another`,
        {
          cause: error,
        },
      )
    }
  }
  await Promise.all([
    tried(clinic.queueRecords([]), 'SQLSERVER_ADMIN_URL'),
    tried(portal.forgetDeletes([]), 'POSTGRES_ADMIN_URL'),
  ])
}

/** EXECUTE is denied: SQL Server's error number, Postgres's SQLSTATE. */
const DENIED: ReadonlySet<string> = new Set(['229', '42501'])

interface ComparedSides {
  readonly verification: Verification
  readonly differences: readonly ToldDifference[]
  readonly plan: RepairPlan
}

/** Null: it was interrupted, which has been said. */
async function compare(command: VerifyCommand, clinic: Clinic, portal: Portal): Promise<ComparedSides | null> {
  const { tables, signal, json, showValues, patienceMs, repair } = command
  const [last, estimates] = await Promise.all([portal.lastVerification(), portal.rowEstimates()])
  const of = (name: string, rows: number) =>
    Math.max(rows, last?.tables.find(({ table }) => table === name)?.clinicRows ?? 0)
  const total = [...estimates]
    .filter(([name]) => tables?.includes(name) ?? true)
    .reduce((sum, [name, rows]) => sum + of(name, rows), 0)
  const bar = verifyBar(command.progressOn)
  const small = keepSmall()
  const differences: ToldDifference[] = []
  const plan = new RepairPlan()
  let far: VerifyProgress | undefined
  try {
    const verification = await verify(
      { clinic, portal },
      {
        ...(tables !== undefined && { tables }),
        patienceMs,
        signal,
        progress(progress) {
          far = progress
          small(progress.rows)
          bar.at(progress, total)
        },
        found(found) {
          if (differences.length < (json ? SHOWN_JSON : SHOWN)) differences.push(told(found, showValues))
          if (repair) plan.add(found)
        },
      },
    )
    bar.stop()
    await keep(command, portal, verification)
    return { verification, differences, plan }
  } catch (error) {
    bar.stop()
    if (!signal.aborted) throw error
    const where =
      far === undefined
        ? 'before the first row'
        : `after ${far.rows.toLocaleString('en')} ${far.rows === 1 ? 'row' : 'rows'}, in ${far.table}`
    command.progressOn.write(`Interrupted ${where}. Nothing of it is kept.\n`)
    return null
  } finally {
    bar.stop()
  }
}

async function keep({ environment }: VerifyCommand, portal: Portal, verification: Verification): Promise<void> {
  await portal.keepVerification(verification)
  await tellIngress(environment)
}

/** The result as the repair has left it. Of what everything until then was, nothing is newer. */
function after(verification: Verification, { remaining }: VerifyRepaired): Verification {
  const tables = verification.tables.map((table) => {
    const left = remaining.filter((record) => record.table === table.table)
    const late = left.filter(({ why }) => why === 'late').length
    return {
      ...table,
      differences: left.length - late,
      stuck: left.filter(({ why }) => why === 'stuck').length,
      inFlight: table.inFlight + late,
    }
  })
  const sum = (of: (table: (typeof tables)[number]) => number) => tables.reduce((total, table) => total + of(table), 0)
  return {
    ...verification,
    finishedAt: new Date().toISOString(),
    differences: sum(({ differences }) => differences),
    inFlight: sum(({ inFlight }) => inFlight),
    tables,
  }
}

function asJson(
  verification: Verification,
  differences: readonly ToldDifference[],
  plan: RepairPlan,
  repaired: VerifyRepaired | null,
): string {
  const planned = plan.tables.map(({ clinicColumns, portalColumns, ...table }) => ({
    ...table,
    clinicColumns: Object.fromEntries(clinicColumns),
    portalColumns: Object.fromEntries(portalColumns),
  }))
  return JSON.stringify({ verification, differences, planned, repaired }, null, 2)
}
