import t from 'tap'
import { backUpClinic, backUpPortal } from './backups.ts'
import { addCase, preparePipeline } from './pipeline.ts'

// A database goes back to yesterday's backup while the services run: nothing may be lost without a word.

const prepared = await preparePipeline(t)
const { clinic, portal, simulator, portalUrl } = prepared
await addCase(clinic, 1)
await clinic.request()
  .batch(`INSERT INTO dbo.tblAlignerBatches (AlignerSetID, BatchSequence, UpperAlignerCount, LowerAlignerCount, Days)
    VALUES (1, 1, 4, 3, 10)`)
const pipeline = await prepared.start()
const { until, settled } = pipeline

/** Staff and doctors whose connections were cut try once more. */
async function again<T>(work: () => Promise<T>): Promise<T> {
  for (let i = 0; ; i++) {
    try {
      return await work()
    } catch (error) {
      if (i > 50) throw error
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
}
const inClinic = (query: string) =>
  again(async () => (await clinic.request().query<Record<string, unknown>>(query)).recordset ?? [])
const inPortal = (query: string) => again(async () => (await portal.query<Record<string, unknown>>(query)).rows)
const patient = (name: string) => inClinic(`UPDATE dbo.tblpatients SET PatientName = N'${name}' WHERE PersonID = 1`)
const checks = async () => {
  const response = await fetch(`${pipeline.ingressUrl}/readyz`)
  return ((await response.json()) as { checks: Record<string, string> }).checks
}
const isBlocked = () =>
  until('it is noticed', async () => /restored from a backup/.test((await checks())['restored'] ?? ''))
const outbox = () =>
  inClinic('SELECT QueueID, TableName, RecordID, Status, LastError FROM dbo.SyncQueue ORDER BY QueueID')

await settled()
const ofClinic = backUpClinic(simulator)

t.test('a clinic that was restored: what staff write then is not passed over as old', async (t) => {
  for (const name of ['one', 'two', 'three']) {
    await patient(name)
    await settled()
  }
  await ofClinic.restore()
  await patient('after the restore')
  await isBlocked()
  t.match(
    (await checks())['restored'],
    /the clinic's database has handed out queue ids up to \d+, and the other side has had/,
  )
  await new Promise((resolve) => setTimeout(resolve, 500))
  const last = (await outbox()).at(-1)
  t.match(last, { TableName: 'patients', Status: 'Pending' })
  t.match(await inPortal('SELECT patient_name FROM patients WHERE person_id = 1'), [{ patient_name: 'three' }])
})
void backUpPortal
void portalUrl
