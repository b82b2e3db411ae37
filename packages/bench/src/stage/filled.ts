import { hasPatients, loadClinic } from '@clinic-sync/demo'
import { clinicOf, extentOf } from '../load/clinic.ts'
import type { Scale } from '../measure.ts'
import { purge, untilSettled } from '../measures/outboxes.ts'
import { inMode } from './mode.ts'
import type { Stage } from './stage.ts'

/** Sees to it that both sides have `scale.clinicChanges` records, and that nothing is under way. What fills the portal is the pipeline itself. */
export async function filled(stage: Stage, scale: Pick<Scale, 'clinicChanges'>): Promise<void> {
  if (await hasPatients(stage.clinic)) return
  await loadClinic(stage.clinic, clinicOf(extentOf(scale.clinicChanges)))
  await inMode(stage, 'by hand')
  await stage.crew.ring('sql-to-postgres')
  await untilSettled(stage, 'clinic', scale.clinicChanges)
  await purge(stage)
}
