// What the capture triggers write into the outbox. Runs against the simulator, and against SQLSERVER_URL when it is set.
import t from 'tap'
import { openBench } from './bench.ts'

const bench = await openBench(t)
const { run } = bench

t.test('each of the seven records is captured, parents before children', async (t) => {
  const doctor = await bench.doctor()
  const patient = await bench.patient()
  const work = await bench.work(patient)
  t.strictSame(await bench.queue(), [
    `aligner_doctors/${doctor} INSERT`,
    `patients/${patient} INSERT`,
    `patients/${patient} UPDATE`,
    `work/${work} INSERT`,
  ])
  await bench.clear()
  const set = await bench.set(work, doctor)
  t.strictSame(await bench.queue(), [
    `patients/${patient} UPDATE`,
    `work/${work} UPDATE`,
    `aligner_sets/${set} INSERT`,
    `aligner_set_payments/${set} UPDATE`,
  ])
  await bench.clear()
  const batch = await bench.batch(set)
  const note = await bench.note(set)
  await bench.invoice(set, 50)
  t.strictSame(await bench.queue(), [
    `aligner_batches/${batch} INSERT`,
    `aligner_notes/${note} INSERT`,
    `aligner_set_payments/${set} UPDATE`,
  ])
})

t.test('new rows are pending and carry nothing but the record', async (t) => {
  await bench.clear()
  await bench.doctor()
  const [row] = await run('SELECT JsonData, Status, Attempts, LastAttempt, LastError, EventVersion FROM dbo.SyncQueue')
  t.strictSame(
    { ...row },
    { JsonData: null, Status: 'Pending', Attempts: 0, LastAttempt: null, LastError: null, EventVersion: null },
  )
})

t.test('only a change of a synced column is captured', async (t) => {
  const { patient, set, work } = await bench.treatment({ SetCost: 100 })
  const batch = await bench.batch(set, { Days: 7 })
  await bench.clear()
  for (const statement of [
    `UPDATE dbo.tblpatients SET Email = N'a@b', Notes = N'x' WHERE PersonID = ${patient}`,
    `UPDATE dbo.tblpatients SET PatientName = PatientName, Phone = NULL WHERE PersonID = ${patient}`,
    `UPDATE dbo.tblwork SET Status = 2 WHERE workid = ${work}`,
    `UPDATE dbo.tblAlignerSets SET SetVideo = N'v', SetCost = 100.00 WHERE AlignerSetID = ${set}`,
    `UPDATE dbo.tblAlignerBatches SET IsLast = 1, Days = 7 WHERE AlignerBatchID = ${batch}`,
    "UPDATE dbo.tblpatients SET Phone = N'1' WHERE PersonID = -1",
  ]) {
    await run(statement)
    t.strictSame(await bench.queue(), [], statement)
  }
  await run(`UPDATE tblPatients SET Phone = '555-TEST' WHERE PersonID = ${patient}`)
  t.strictSame(await bench.queue(), [`patients/${patient} UPDATE`])
})

t.test('a change of case or of trailing blanks only is a change, and so is NULL for an empty text', async (t) => {
  const { set } = await bench.treatment({ Notes: 'abc' })
  for (const text of ["N'ABC'", "N'ABC '", "N'ABC  '", "N'ABC'", "N''", 'NULL', "N' '"]) {
    await bench.clear()
    await run(`UPDATE dbo.tblAlignerSets SET Notes = ${text} WHERE AlignerSetID = ${set}`)
    t.strictSame(await bench.queue(), [`aligner_sets/${set} UPDATE`], text)
  }
})

t.test('a computed column that changes with a column that is not synced is a change', async (t) => {
  const { set } = await bench.treatment()
  const batch = await bench.batch(set, { Days: 7 })
  await bench.clear()
  await run(`UPDATE dbo.tblAlignerBatches SET HasUpperTemplate = 1 WHERE AlignerBatchID = ${batch}`)
  t.strictSame(await bench.queue(), [`aligner_batches/${batch} UPDATE`])
})

t.test('a statement over many rows captures those that changed', async (t) => {
  const { set } = await bench.treatment()
  const [a, b, c] = [await bench.note(set), await bench.note(set, { IsRead: true }), await bench.note(set)]
  await bench.clear()
  await run(`UPDATE dbo.tblAlignerNotes SET IsRead = 1 WHERE AlignerSetID = ${set}`)
  t.strictSame(await bench.queue(), [`aligner_notes/${a} UPDATE`, `aligner_notes/${c} UPDATE`])
  await bench.clear()
  await run(
    `INSERT INTO dbo.tblAlignerNotes (AlignerSetID, NoteType, NoteText) VALUES (${set}, 'Lab', N'x'), (${set}, 'Doctor', N'y')`,
  )
  t.match(await bench.queue(), [/^aligner_notes\/\d+ INSERT$/, /^aligner_notes\/\d+ INSERT$/])
  t.ok(Number(b) > 0)
})

t.test('a rolled back change leaves nothing', async (t) => {
  const { patient } = await bench.treatment()
  const session = await bench.session()
  await session.begin()
  await session.run(`UPDATE dbo.tblpatients SET Phone = N'1' WHERE PersonID = ${patient}`)
  await session.rollback()
  t.strictSame(await bench.queue(), [])
})

t.test("@@IDENTITY and SCOPE_IDENTITY() are those of the clinic's own row", async (t) => {
  const { work, doctor } = await bench.treatment()
  const [row] = await run(
    `INSERT INTO dbo.tblAlignerSets (WorkID, AlignerDrID, SetSequence) VALUES (${work}, ${doctor}, 90); ` +
      'SELECT CAST(@@IDENTITY AS int) AS every, CAST(SCOPE_IDENTITY() AS int) AS own',
  )
  const set = await bench.value(
    `SELECT AlignerSetID FROM dbo.tblAlignerSets WHERE WorkID = ${work} AND SetSequence = 90`,
  )
  // Babelfish takes the outbox's sequence for an identity.
  t.match(row, bench.babelfish ? { own: set } : { every: set, own: set })
})

t.test('deletes are captured where they propagate, with what the database deletes along', async (t) => {
  const { set, patient, work, doctor } = await bench.treatment()
  const batch = await bench.batch(set)
  const note = await bench.note(set)
  await bench.clear()
  await run(`DELETE FROM dbo.tblAlignerNotes WHERE NoteID = ${note}`)
  t.strictSame(await bench.queue(), [`aligner_notes/${note} DELETE`])
  await bench.clear()
  await run(`DELETE FROM dbo.tblAlignerSets WHERE AlignerSetID = ${set}`)
  t.strictSame((await bench.queue()).sort(), [
    `aligner_batches/${batch} DELETE`,
    `aligner_set_payments/${set} UPDATE`,
    `aligner_sets/${set} DELETE`,
  ])
  await bench.clear()
  await run(`DELETE FROM dbo.tblwork WHERE workid = ${work}`)
  await run(`DELETE FROM dbo.tblpatients WHERE PersonID = ${patient}`)
  await run(`DELETE FROM dbo.AlignerDoctors WHERE DrID = ${doctor}`)
  t.strictSame(await bench.queue(), [])
})

t.test('invoices change the payments of the set they belong to, before and after', async (t) => {
  const { set: first } = await bench.treatment({ SetCost: 100 })
  const { set: second } = await bench.treatment({ SetCost: 100 })
  const invoice = await bench.invoice(first, 50)
  const change = async (statement: string) => {
    await bench.clear()
    await run(statement)
    return (await bench.queue()).sort()
  }
  const payments = (...sets: number[]) => sets.map((set) => `aligner_set_payments/${set} UPDATE`)
  const where = `WHERE invoiceID = ${invoice}`
  t.strictSame(await change(`UPDATE dbo.tblInvoice SET Dateofpayment = '2026-01-01' ${where}`), [])
  t.strictSame(await change(`UPDATE dbo.tblInvoice SET Amountpaid = 60 ${where}`), payments(first))
  t.strictSame(
    await change(`UPDATE dbo.tblInvoice SET AlignerSetID = ${second} ${where}`),
    payments(first, second).sort(),
  )
  t.strictSame(await change(`UPDATE dbo.tblInvoice SET AlignerSetID = NULL ${where}`), payments(second))
  t.strictSame(await change(`UPDATE dbo.tblInvoice SET Amountpaid = 70 ${where}`), [])
  t.strictSame(await change(`UPDATE dbo.tblInvoice SET AlignerSetID = ${first} ${where}`), payments(first))
  t.strictSame(await change(`DELETE FROM dbo.tblInvoice ${where}`), payments(first))
  t.strictSame(await change(`UPDATE dbo.tblAlignerSets SET Days = 9 WHERE AlignerSetID = ${first}`), [
    `aligner_sets/${first} UPDATE`,
  ])
  t.strictSame(await change(`UPDATE dbo.tblAlignerSets SET SetCost = 200 WHERE AlignerSetID = ${first}`), [
    ...payments(first),
    `aligner_sets/${first} UPDATE`,
  ])
})

t.test('a row that moves to another parent brings that parent along', async (t) => {
  const { set } = await bench.treatment()
  const patient = await bench.patient()
  const work = await bench.work(patient)
  const other = await bench.patient()
  await bench.clear()
  await run(`UPDATE dbo.tblAlignerSets SET WorkID = ${work} WHERE AlignerSetID = ${set}`)
  t.strictSame(await bench.queue(), [`patients/${patient} UPDATE`, `work/${work} UPDATE`, `aligner_sets/${set} UPDATE`])
  await bench.clear()
  await run(`UPDATE dbo.tblwork SET PersonID = ${other} WHERE workid = ${work}`)
  t.strictSame(await bench.queue(), [`patients/${other} UPDATE`, `work/${work} UPDATE`])
})
