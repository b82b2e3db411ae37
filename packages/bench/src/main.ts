import { releasers } from '@clinic-sync/demo'
import { QUICK } from './measure.ts'
import { MEASURES } from './measures/index.ts'
import { openStage } from './stage/stage.ts'

const [records = '20000', rounds = '2', only = 'sustained'] = process.argv.slice(2)
const release = releasers()
process.on('SIGINT', () => void release.releaseAll().then(() => process.exit(130)))
const scale = { ...QUICK, clinicChanges: Number(records), portalEdits: Math.round(Number(records) * 0.4) }
try {
  const stage = await openStage({ release, say: console.log, yes: true })
  const measures = MEASURES.filter(({ name }) => only.split(',').includes(name))
  for (const measure of measures) await measure.prepare?.(stage, scale)
  for (let round = 1; round <= Number(rounds); round++)
    for (const measure of measures)
      for (const { name, value, unit } of await measure.run(stage, scale, round))
        console.log(`${round}  ${name}: ${value.toPrecision(4)} ${unit}`)
} finally {
  await release.releaseAll()
}
process.exit(0)
