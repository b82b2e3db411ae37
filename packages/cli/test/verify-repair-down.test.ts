import t from 'tap'
import { verifying } from './support/verifying.ts'

// A repair while a service is down: it ends, says so, and what is queued arrives when the service is back.

const { portalSql, run, behind, startIngress, startConsumers, endConsumers } = await verifying(t)
let ingress = await startIngress()
await startConsumers()
const plant = () => behind("UPDATE aligner_doctors SET doctor_name = 'planted' WHERE dr_id = 1")
const repair = { repair: true, yes: true } as const
const well = { ...repair, patienceMs: 30_000 }

t.test('a consumer is down: the row is still on its way, and a second run finds it equal', async (t) => {
  t.equal((await run({ patienceMs: 30_000 })).code, 0)
  await plant()
  await endConsumers('sql-to-postgres')
  const { code, text } = await run(repair)
  t.equal(code, 3, text)
  t.match(text, /1 queued in the clinic/)
  t.notMatch(text, /all 1 are equal/)
  await startConsumers('sql-to-postgres')
  const again = await run(well)
  t.equal(again.code, 0, again.text)
})

t.test('the ingress is down: it says so, and a second run finishes', async (t) => {
  await plant()
  await ingress.close()
  const { code, text } = await run(repair)
  t.equal(code, 3, text)
  t.match(text, /It goes with the next drain: /)
  ingress = await startIngress()
  const again = await run(well)
  t.equal(again.code, 0, again.text)
  t.match(await portalSql('SELECT doctor_name FROM aligner_doctors'), [{ doctor_name: 'Dr Secret' }])
})
