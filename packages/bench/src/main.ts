import { loadClinic, releasers } from '@clinic-sync/demo'
import { clinicOf, extentOf } from './load/clinic.ts'
import { drainClinic, drainPortal, eventsOf, untilSettled, unsettled } from './measures/sustained.ts'
import { openStage } from './stage/stage.ts'
const N = Number(process.argv[2] ?? 10000),
  R = Number(process.argv[3] ?? 2)
const release = releasers()
process.on('SIGINT', () => void release.releaseAll().then(() => process.exit(130)))
const t = () => (performance.now() / 1000).toFixed(1)
try {
  const stage = await openStage({ release, say: console.log, yes: true })
  console.log(t(), 'stage', stage.folder)
  const extent = extentOf(N)
  await loadClinic(stage.clinic, clinicOf(extent))
  console.log(t(), 'loaded', await unsettled(stage, 'clinic'))
  await stage.crew.startAll({ CLINIC_DOORBELL: 'http', PORTAL_DOORBELL: 'webhook' })
  console.log(t(), 'up')
  await untilSettled(stage, 'clinic', 0, N)
  console.log(t(), 'backlog gone')
  for (let r = 1; r <= R; r++) {
    console.log(t(), 'clinic', Math.round(await drainClinic(stage, r, N)))
    console.log(
      t(),
      'portal',
      Math.round(
        await drainPortal(stage, r, { batches: Math.round(extent.batches * 0.9), notes: Math.round(extent.notes / 2) }),
      ),
    )
    await untilSettled(stage, 'clinic', 0, 0)
    console.log(t(), 'echo settled', await eventsOf(stage, 'clinic'))
  }
  for (const s of ['ingress', 'sql-to-postgres', 'postgres-to-sql'] as const)
    console.log(
      s,
      'cpu',
      await stage.crew.metric(s, 'process_cpu_seconds_total'),
      'MB',
      (await stage.crew.metric(s, 'process_resident_memory_bytes')) / 1e6,
    )
} finally {
  await release.releaseAll()
}
process.exit(0)
