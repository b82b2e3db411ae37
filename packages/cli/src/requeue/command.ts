import { openClinic } from '@clinic-sync/clinic'
import { directionFrom, type Side } from '@clinic-sync/contracts'
import { isTableName, TABLE_NAMES, type TableName } from '@clinic-sync/mapping'
import { openPortal } from '@clinic-sync/portal'
import { createLogger, type Environment, readSettings } from '@clinic-sync/runtime'
import { type Operable, type RequeueFilter, SyncError } from '@clinic-sync/sync'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { ringIngress } from '../backfill/ring.ts'

interface Options {
  readonly status: RequeueFilter['status']
  readonly table?: TableName
  readonly key?: number
  readonly olderThan?: number
  readonly side?: Side
  readonly dryRun: boolean
}

/** Adds `requeue` to the program. */
export function addRequeue(program: Command, environment: () => Environment): void {
  program
    .command('requeue')
    .description('set outbox rows back to Pending, so that they are sent anew: for a broker that lost its disk')
    .option('--status <list>', 'which rows: queued, failed, synced', statuses, ['Queued', 'Failed'])
    .option('--table <table>', `only of this table: ${TABLE_NAMES.join(', ')}`, tableName)
    .option('--key <key>', 'only of this record of --table, what was discarded included', wholeNumber)
    .option('--older-than <time>', 'only rows captured at least so long ago: 90s, 10m, 2h, 1d', secondsOf)
    .addOption(new Option('--side <side>', 'only of this outbox').choices(['clinic', 'portal']))
    .option('--dry-run', 'say how many, and do nothing', false)
    .action(async (options: Options) => {
      const done = await requeueCommand({ ...options, environment: environment(), say: (line) => console.log(line) })
      if (!done) process.exitCode = 1
    })
}

export interface RequeueCommand extends Options {
  readonly environment: Environment
  readonly say: (line: string) => void
}

/**
 * Requeues on both sides, or one, then rings the ingress, as a doorbell would.
 *
 * @returns whether all that was asked for is done.
 * @throws SyncError in words for the operator, DatabaseError
 */
export async function requeueCommand({ environment, say, side, ...options }: RequeueCommand): Promise<boolean> {
  const { status, table, key, olderThan, dryRun } = options
  if (key !== undefined && table === undefined) throw new SyncError('SYNC_USAGE', '--key needs --table.')
  const filter: RequeueFilter = {
    status,
    dryRun,
    ...(table !== undefined && { table }),
    ...(key !== undefined && { key }),
    ...(olderThan !== undefined && { olderThanSeconds: olderThan }),
  }
  let done = true
  for (const each of side === undefined ? (['clinic', 'portal'] as const) : [side]) {
    const rows = await requeue(each, environment, filter)
    const of = `${rows} ${rows === 1 ? 'row' : 'rows'} of the ${each}'s outbox`
    if (dryRun) say(`${of} would be sent anew.`)
    else if (rows === 0) say(`${of}: there are none to send anew.`)
    else done = (await ring(each, environment, `${of} set back to Pending`, say)) && done
  }
  return done
}

async function requeue(side: Side, environment: Environment, filter: RequeueFilter): Promise<number> {
  const database = await open(side, environment)
  try {
    return await database.requeue(filter)
  } finally {
    await database.close()
  }
}

async function open(
  side: Side,
  environment: Environment,
): Promise<Pick<Operable, 'requeue'> & { close(): Promise<void> }> {
  const log = createLogger({ name: 'requeue', level: 'silent' })
  if (side === 'portal') return openPortal({ url: readSettings(['POSTGRES_URL'], environment).POSTGRES_URL, log })
  const { SQLSERVER_URL: url, CLINIC_TIME_ZONE: timeZone } = readSettings(
    ['SQLSERVER_URL', 'CLINIC_TIME_ZONE'],
    environment,
  )
  return openClinic({ url, timeZone, log })
}

/** The rows are Pending by then: whoever drains next finds them, so a ring that fails is said, and loses nothing. */
async function ring(side: Side, environment: Environment, what: string, say: (line: string) => void): Promise<boolean> {
  // Said first: a long drain, or an ingress that hangs, may take its time to answer.
  say(`${what}. Ringing the ingress …`)
  try {
    const { INGRESS_URL: url, SYNC_OPERATOR_TOKEN: token } = readSettings(
      ['INGRESS_URL', 'SYNC_OPERATOR_TOKEN'],
      environment,
    )
    await ringIngress(url, token, undefined, directionFrom(side))
    say('They are published.')
    return true
  } catch (error) {
    if (!(error instanceof SyncError)) throw error
    say(`They go with the next drain: ${error.message} ${error.advice}`)
    return false
  }
}

const STATUSES = { queued: 'Queued', failed: 'Failed', synced: 'Synced' } as const

function statuses(value: string): RequeueFilter['status'] {
  return value.split(',').map((each) => {
    const found = STATUSES[each.trim().toLowerCase() as keyof typeof STATUSES]
    if (found === undefined) throw new InvalidArgumentError(`Known are ${Object.keys(STATUSES).join(', ')}.`)
    return found
  })
}

function tableName(value: string): TableName {
  if (!isTableName(value)) throw new InvalidArgumentError(`Known are ${TABLE_NAMES.join(', ')}.`)
  return value
}

function wholeNumber(value: string): number {
  const number = Number(value)
  if (!/^-?\d+$/.test(value) || Math.abs(number) > 2 ** 31 - 1) throw new InvalidArgumentError('It is a whole number.')
  return number
}

const UNITS = { s: 1, m: 60, h: 3_600, d: 86_400 } as const

/** `90s`, `10m`, `2h`, `1d` in seconds. */
export function secondsOf(value: string): number {
  const [, count, unit] = /^(\d{1,6})([smhd])$/.exec(value) ?? []
  if (count === undefined || unit === undefined) throw new InvalidArgumentError('Write 90s, 10m, 2h or 1d.')
  return Math.min(Number(count) * UNITS[unit as keyof typeof UNITS], 2 ** 31 - 1)
}
