import { afterRestoreCommand } from '@clinic-sync/cli'
import t, { type Test } from 'tap'
import { compareSides } from '../../src/compare.ts'
import { backUpClinic, backUpPortal } from './backups.ts'
import { addCase, OPERATOR_TOKEN, preparePipeline } from './pipeline.ts'

// A database goes back to yesterday's backup while the services run: nothing may be lost without a word.

const prepared = await preparePipeline(t)
const { clinic, portal, simulator, portalUrl, sides } = prepared
for (const key of [1, 2]) await addCase(clinic, key)
await clinic.request()
  .batch(`INSERT INTO dbo.tblAlignerBatches (AlignerSetID, BatchSequence, UpperAlignerCount, LowerAlignerCount, Days)
    VALUES (1, 1, 4, 3, 10), (1, 2, 4, 3, 10), (2, 1, 4, 3, 10)`)
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
const named = (name: string) => inClinic(`UPDATE dbo.tblpatients SET PatientName = N'${name}' WHERE PersonID = 1`)
const newSet = (key: number, work: number) =>
  inClinic(`SET IDENTITY_INSERT dbo.tblAlignerSets ON;
    INSERT INTO dbo.tblAlignerSets (AlignerSetID, WorkID, SetSequence, AlignerDrID) VALUES (${key}, ${work}, ${key}, ${work});
    SET IDENTITY_INSERT dbo.tblAlignerSets OFF`)
const newNote = async (set: number, text: string) =>
  Number(
    (
      await inPortal(
        `INSERT INTO aligner_notes (aligner_set_id, note_type, note_text) VALUES (${set}, 'Doctor', '${text}') RETURNING note_id`,
      )
    )[0]?.note_id,
  )
const notesOfClinic = () => inClinic('SELECT NoteID, AlignerSetID, NoteText FROM dbo.tblAlignerNotes ORDER BY NoteID')
const daysOf = async (batch: number) => ({
  clinic: (await inClinic(`SELECT Days FROM dbo.tblAlignerBatches WHERE AlignerBatchID = ${batch}`))[0]?.Days,
  portal: (await inPortal(`SELECT days FROM aligner_batches WHERE aligner_batch_id = ${batch}`))[0]?.days,
})
const restored = async () => {
  const response = await fetch(`${pipeline.ingressUrl}/readyz`)
  return ((await response.json()) as { checks: Record<string, string> }).checks['restored'] ?? ''
}
const noticed = () => until('it is noticed', async () => /restored from a backup/.test(await restored()))
const afterRestore = async (more: { dryRun?: boolean; side?: 'clinic' | 'portal' } = {}) => {
  const said: string[] = []
  const environment = {
    SQLSERVER_URL: simulator.url,
    POSTGRES_URL: portalUrl,
    RABBITMQ_URL: prepared.rabbitUrl,
    INGRESS_URL: pipeline.ingressUrl,
    SYNC_OPERATOR_TOKEN: OPERATOR_TOKEN,
    CLINIC_TIME_ZONE: 'Asia/Baghdad',
  }
  const done = await afterRestoreCommand({
    dryRun: false,
    yes: true,
    ...more,
    environment,
    patienceMs: 20_000,
    say: (line) => void said.push(line),
  })
  return { done, said: said.join('\n') }
}
/** Repaired, equal to the last value, and at work again. */
async function isWell(t: Test) {
  await settled()
  const differences = (await compareSides(sides.clinic, sides.portal)).flatMap((each) => each.differences)
  t.strictSame(differences, [], 'both sides are equal')
  await until('the ingress goes on', async () => (await restored()) === 'no')
  const name = `after ${Math.random()}`
  await named(name)
  await until(
    'the clinic’s changes arrive',
    async () => (await inPortal('SELECT patient_name FROM patients WHERE person_id = 1'))[0]?.patient_name === name,
  )
  await inPortal('UPDATE aligner_batches SET days = days + 1 WHERE aligner_batch_id = 3')
  await settled()
  const { clinic: ours, portal: theirs } = await daysOf(3)
  t.equal(ours, theirs, 'the doctors’ changes arrive')
}
const failed = async () => [
  ...(await inClinic("SELECT TableName, RecordID, LastError FROM dbo.SyncQueue WHERE Status = 'Failed'")),
  ...(await inPortal("SELECT table_name, record_id, last_error FROM sync.queue WHERE status = 'Failed'")),
]

await settled()

t.test('the clinic was restored', async (t) => {
  const backup = backUpClinic(simulator)
  for (const name of ['one', 'two', 'three']) {
    await named(name)
    await settled()
  }
  // What was written after the backup: by doctors, in old and new sets, and by staff.
  await inPortal('UPDATE aligner_batches SET days = 14 WHERE aligner_batch_id = 1')
  await newSet(50, 1)
  await settled()
  const inOld = await newNote(1, 'in a set that is still there')
  const inNew = await newNote(50, 'in a set that another patient will have')
  await settled()
  await backup.restore()

  await named('after the restore')
  await newSet(50, 2)
  await inPortal('UPDATE aligner_batches SET days = 21 WHERE aligner_batch_id = 2')
  await noticed()
  t.match(await restored(), /the clinic's database has handed out queue ids up to \d+, and the other side has had/)
  t.match(
    await inClinic(
      "SELECT Status FROM dbo.SyncQueue WHERE TableName = 'patients' AND RecordID = 1 AND Status <> 'Synced'",
    ),
    [{ Status: 'Pending' }],
  )
  t.match(await inPortal('SELECT patient_name FROM patients WHERE person_id = 1'), [{ patient_name: 'three' }])
  t.same((await daysOf(1)).clinic, 10)

  const shown = await afterRestore({ dryRun: true })
  t.match(shown.said, /Nothing was changed\.$/)
  t.match(shown.said, /1 whose number the clinic has given to another record since/)
  t.match(await restored(), /restored/)
  const { done, said } = await afterRestore()
  t.ok(done, said)
  t.match(await daysOf(1), { clinic: 14, portal: 14 }, 'a doctor’s edit that the backup lacks')
  t.match(await daysOf(2), { clinic: 21, portal: 21 }, 'a doctor’s edit since')
  t.same(
    (await notesOfClinic()).map(({ NoteID, AlignerSetID }) => [NoteID, AlignerSetID]),
    [[inOld, 1]],
  )
  t.match(await inPortal('SELECT patient_name FROM patients WHERE person_id = 1'), [
    { patient_name: 'after the restore' },
  ])
  t.match(
    await inPortal(
      `SELECT table_name, record_id, lost_row ->> 'note_text' AS text FROM sync.lost_edits WHERE table_name = 'aligner_notes'`,
    ),
    [{ record_id: inNew, text: 'in a set that another patient will have' }],
    'a note that would have come to another patient is on record',
  )
  t.match(
    await inPortal(`SELECT lost_row ->> 'patient_name' AS name FROM sync.lost_edits WHERE table_name = 'patients'`),
    [{ name: 'three' }],
    'what staff had written is on record',
  )
  t.strictSame(await failed(), [])
  await isWell(t)
})

t.test('the portal was restored, and no doctor has written since', async (t) => {
  const backup = await backUpPortal(t, portalUrl)
  await again(() => named('before the portal’s restore'))
  await settled()
  await newSet(60, 2)
  await settled()
  await backup.restore()
  await noticed()
  t.match(await restored(), /the portal's database lacks \d* ?changes? that it had applied/)
  const { done, said } = await afterRestore()
  t.ok(done, said)
  t.strictSame(await failed(), [])
  await isWell(t)
})

t.test('the portal was restored, and doctors have written before and since', async (t) => {
  const backup = await backUpPortal(t, portalUrl)
  await inPortal('UPDATE aligner_batches SET days = 30 WHERE aligner_batch_id = 1')
  const arrived = await newNote(2, 'arrived in the clinic')
  await settled()
  await inClinic(`DELETE FROM dbo.tblAlignerSets WHERE AlignerSetID = 60`)
  await settled()
  await backup.restore()
  await inPortal('UPDATE aligner_batches SET days = 31 WHERE aligner_batch_id = 2')
  await noticed()
  const { done, said } = await afterRestore()
  t.ok(done, said)
  t.match(await daysOf(1), { clinic: 30, portal: 30 })
  t.match(await daysOf(2), { clinic: 31, portal: 31 })
  t.match(await inPortal(`SELECT note_text FROM aligner_notes WHERE note_id = ${arrived}`), [
    { note_text: 'arrived in the clinic' },
  ])
  t.strictSame(await inPortal('SELECT 1 FROM aligner_sets WHERE aligner_set_id = 60'), [])
  t.strictSame(await failed(), [])
  await isWell(t)
})
