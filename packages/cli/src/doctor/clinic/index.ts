import type { Settings } from '@clinic-sync/runtime'
import type { MigrationFile } from '../../migrate/files.ts'
import type { Check } from '../check.ts'
import { migrationChecks, type Recorded } from '../migrations.ts'
import { adviceChecks } from './advice.ts'
import { captureChecks, otherTriggerChecks, shippedTriggers } from './capture.ts'
import type { ClinicFacts } from './facts.ts'
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
  const wanted = files.filter((file) => (doorbellOf(file) ?? settings.CLINIC_DOORBELL) === settings.CLINIC_DOORBELL)
  const capture = files.find(({ name }) => name === CAPTURE)
  const isApplied = capture !== undefined && recorded.get(CAPTURE)?.trim() === capture.checksum
  return [
    ...serverChecks(facts),
    ...unseenChecks(facts),
    ...migrationChecks('clinic', wanted, new Set(files.map(({ name }) => name)), recorded),
    ...captureChecks(facts, capture === undefined ? [] : shippedTriggers(capture), isApplied),
    ...otherTriggerChecks(facts),
    ...rightsChecks(facts),
    ...clientChecks(facts),
    ...timeChecks(facts, settings.CLINIC_TIME_ZONE),
    ...clinicOutboxChecks(facts),
    ...adviceChecks(facts),
  ]
}

/** The doorbell that a file is for, as its header comment says; null: it is for every clinic. */
const doorbellOf = ({ sql }: MigrationFile): string | null => /^-- Doorbell: ([\w-]+)/m.exec(sql)?.[1] ?? null
