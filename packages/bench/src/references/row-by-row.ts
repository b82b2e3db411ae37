import type { Measure, Scale } from '../measure.ts'
import { purge, untilSettled } from '../measures/outboxes.ts'
import { drainClinic, queued } from '../measures/sustained.ts'
import { ROW_BY_ROW } from '../report/targets.ts'
import { filled } from '../stage/filled.ts'
import { inMode } from '../stage/mode.ts'
import type { Stage } from '../stage/stage.ts'
import { type Helper, startHelper } from './child.ts'

/** Changes: it is slow. 1,000 beside 50,000 of a sustained drain. */
const changesOf = ({ clinicChanges }: Pick<Scale, 'clinicChanges'>) => Math.ceil(clinicChanges / 50)

/** What is written differs each time: the triggers capture nothing else. */
let times = 0

/**
 * One row at a time, as the original did it, through the same databases, queues and library: take 1, publish 1, wait for its confirm,
 * settle 1, next; apply 1, report 1, acknowledge 1, next. Generous to the original: publishing and applying go on side by side.
 */
export const rowByRow: Measure = {
  name: 'row-by-row',
  when: 'each',
  prepare: (stage, scale) => filled(stage, scale),
  async run(stage, scale) {
    const changes = changesOf(scale)
    await stage.crew.stopAll()
    const { clinic, portal, rabbit } = stage.addresses
    const roles = ['apply', 'publish'] as const
    const [consumer, ingress] = await Promise.all(
      roles.map((role) => startHelper(stage, 'row-by-row-child', [role, clinic, portal, rabbit])),
    )
    if (consumer === undefined || ingress === undefined) throw new Error('A process is missing.')
    let ms: number
    try {
      // Warm, as the services are that it is held against.
      await drain(stage, ingress, Math.ceil(changes / 4))
      ms = await drain(stage, ingress, changes)
    } finally {
      await Promise.all([consumer.stop(), ingress.stop()])
    }
    await purge(stage)
    await inMode(stage, 'by hand')
    // They have been started anew: the next round meets them warm.
    await drainClinic(stage, scale.clinicChanges)
    await purge(stage)
    return [{ name: ROW_BY_ROW, unit: 'changes/s', better: 'more', value: (changes * 1_000) / ms }]
  },
}

/** @returns milliseconds from the first look into the outbox until the last row is settled */
async function drain(stage: Stage, ingress: Helper, changes: number): Promise<number> {
  const change = `UPDATE dbo.tblAlignerBatches SET Notes = N'مستعجل ${++times} row by row' WHERE AlignerBatchID <= ${changes}`
  await queued(stage, 'clinic', changes, async () => void (await stage.clinic.request().query(change)))
  const since = performance.now()
  const [until] = await Promise.all([untilSettled(stage, 'clinic', changes), ingress.ask({ drain: true })])
  return until - since
}
