import { openClinic } from '@clinic-sync/clinic'
import { openPortal } from '@clinic-sync/portal'
import { createLogger, type Environment, readSettings } from '@clinic-sync/runtime'
import type { Command } from 'commander'
import { adminUrl, portalAdminUrl } from '../admin-url.ts'
import { openClinicSide } from './clinic-side.ts'
import type { Verdict } from './judge.ts'
import { openPortalSide } from './portal-side.ts'
import { type Findings, takeOver } from './take-over.ts'

interface Options {
  readonly dryRun: boolean
  readonly deleteGone: boolean
}

/** Adds `take-over` to the program. */
export function addTakeOver(program: Command, environment: () => Environment): void {
  program
    .command('take-over')
    .description('after migrate, before the services first run: set right what the original system left unequal')
    .option('--dry-run', 'say what would be done, and do nothing', false)
    .option('--delete-gone', "have the portal's rows deleted that the clinic no longer has", false)
    .action(async (options: Options) => {
      await takeOverCommand({ ...options, environment: environment(), say: (line) => console.log(line) })
    })
}

export interface TakeOverCommand extends Options {
  readonly environment: Environment
  readonly say: (line: string) => void
}

/** Takes over with the logins that install, on both sides. @throws SyncError in words for the operator, DatabaseError */
export async function takeOverCommand({ environment, say, dryRun, deleteGone }: TakeOverCommand): Promise<Findings[]> {
  const log = createLogger({ name: 'take-over', level: 'silent' })
  const { CLINIC_TIME_ZONE: timeZone } = readSettings(['CLINIC_TIME_ZONE'], environment)
  const urls = { clinic: adminUrl(environment), portal: portalAdminUrl(environment) }
  const clinic = await openClinic({ url: urls.clinic, timeZone, log })
  const portal = await openPortal({ url: urls.portal, log })
  const clinicSide = openClinicSide(urls.clinic)
  try {
    await Promise.all([clinic.check(), portal.check()])
    const portalSide = await openPortalSide(urls.portal)
    try {
      const findings = await takeOver({
        clinic: { ...clinicSide, readRows: (...page) => clinic.readRows(...page) },
        portal: { ...portalSide, readRows: (...page) => portal.readRows(...page) },
        dryRun,
        deleteGone,
      })
      for (const line of report(findings, { dryRun, deleteGone })) say(line)
      return findings
    } finally {
      await portalSide.close()
    }
  } finally {
    await Promise.all([clinic.close(), portal.close(), clinicSide.close()])
  }
}

/** Keys that are shown of what is gone. */
const SHOWN = 20

const WORDS: Readonly<Record<Verdict, readonly [one: string, many: string, done: string, wouldBe: string]>> = {
  new: [
    'never reached the clinic',
    'never reached the clinic',
    'sent',
    'would be sent, with a key of the portal’s own',
  ],
  two: [
    'has the key of another record in the clinic',
    'have the keys of other records in the clinic',
    'sent, with a key of the portal’s own',
    'would be sent, with a key of the portal’s own',
  ],
  edit: [
    'has a doctor’s values that never reached the clinic',
    'have doctors’ values that never reached the clinic',
    'sent; what they replace is in the portal’s sync.lost_edits',
    'would be sent',
  ],
  behind: [
    'waits for a change of the clinic’s that is still in SyncQueue, and has other values',
    'wait for changes of the clinic’s that are still in SyncQueue, and have other values',
    'the clinic’s will stand; the portal’s are in sync.lost_edits',
    'the clinic’s would stand',
  ],
  gone: ['is no longer in the clinic', 'are no longer in the clinic', '', ''],
}

/** What was found, a line for each kind: numbers and keys, no values. */
export function report(findings: readonly Findings[], { dryRun, deleteGone }: Options): string[] {
  const lines = findings.flatMap(({ table, counts, gone }) =>
    [...counts].flatMap(([verdict, count]) => {
      if (count === 0) return []
      const [one, many, done, wouldBe] = WORDS[verdict]
      const what = `${table.name}: ${count} of the portal ${count === 1 ? one : many}`
      return verdict === 'gone'
        ? [`${what}: ${goneLine(gone, dryRun, deleteGone)}`]
        : [`${what}: ${dryRun ? wouldBe : done}.`]
    }),
  )
  if (lines.length === 0) return ['Nothing to set right: what differs is the clinic’s, and a backfill brings it.']
  if (dryRun) lines.push('Nothing was changed.')
  return lines
}

function goneLine(keys: readonly number[], dryRun: boolean, deleteGone: boolean): string {
  const shown = `${keys.slice(0, SHOWN).join(', ')}${keys.length > SHOWN ? ' …' : ''}`
  if (!deleteGone) return `left as they are; --delete-gone has them deleted (keys ${shown}).`
  return dryRun ? `would be deleted (keys ${shown}).` : `put into SyncQueue to be deleted (keys ${shown}).`
}
