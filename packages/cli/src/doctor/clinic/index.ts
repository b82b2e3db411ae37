import type { Settings } from '@clinic-sync/runtime'
import { leaveOut } from '../../migrate/choose.ts'
import type { MigrationFile } from '../../migrate/files.ts'
import type { Check } from '../check.ts'
import { migrationChecks, type Recorded } from '../migrations.ts'
import { adviceChecks } from './advice.ts'
import { captureChecks, otherTriggerChecks, shippedTriggers } from './capture.ts'
import { type ClinicFacts, engineOf } from './facts.ts'
import { clinicOutboxChecks } from './outbox.ts'
import { clientChecks, rightsChecks } from './rights.ts'
import { serverChecks, unseenChecks } from './server.ts'
import { timeChecks } from './time.ts'

const CAPTURE = '02_sync_capture.sql'

export interface ClinicContext {
  readonly settings: Pick<Settings, 'CLINIC_TIME_ZONE'> & Partial<Pick<Settings, 'CLINIC_DOORBELL'>>
  readonly files: readonly MigrationFile[]
}

/** Everything about a clinic that answers, but for its doorbell. */
export function clinicChecks(facts: ClinicFacts, { settings, files }: ClinicContext): Check[] {
  const recorded: Recorded = new Map(facts.all('migration:'))
  // Without the setting, which fails by itself, no file of a doorbell is missed.
  const { taken: wanted } = leaveOut(files, settings.CLINIC_DOORBELL ?? 'none', engineOf(facts))
  const capture = files.find(({ name }) => name === CAPTURE)
  const isApplied = capture !== undefined && recorded.get(CAPTURE)?.trim() === capture.checksum
  return [
    ...serverChecks(facts),
    ...unseenChecks(facts),
    ...migrationChecks('clinic', wanted, new Set(files.map(({ name }) => name)), recorded),
    ...captureChecks(facts, capture === undefined ? [] : shippedTriggers(capture), isApplied),
    ...otherTriggerChecks(facts),
    ...rightsChecks(facts, proceduresOf(wanted.filter(({ name }) => recorded.has(name)))),
    ...clientChecks(facts),
    ...timeChecks(facts, settings.CLINIC_TIME_ZONE),
    ...clinicOutboxChecks(facts),
    ...adviceChecks(facts),
  ]
}

/** The procedures of schema sync that these files make. */
const proceduresOf = (files: readonly MigrationFile[]): ReadonlySet<string> =>
  new Set(
    files.flatMap(({ sql }) =>
      [...sql.matchAll(/\bCREATE PROC(?:EDURE)? sync\.\[?(\w+)/gi)].map(([, name = '']) => name),
    ),
  )
