import type { Key } from '@clinic-sync/contracts'
import type { Table, TableName } from '@clinic-sync/mapping'
import t from 'tap'
import { repairDifferences } from '../src/index.ts'
import { compareSides } from './support/comparing.ts'
import { twoSides } from './support/two-sides.ts'

// What is planted in the clinic, as where its triggers are switched off; keys at the ends of an int are among it.

const both = await twoSides(t)
const { staff, doctor, settle, clinic, portal } = both
await staff(`SET IDENTITY_INSERT dbo.AlignerDoctors ON;
  INSERT INTO dbo.AlignerDoctors (DrID, DoctorName, DoctorEmail) VALUES (1, N'Dr One', N'one@example.org');
  SET IDENTITY_INSERT dbo.AlignerDoctors OFF`)
await staff(`SET IDENTITY_INSERT dbo.tblpatients ON;
  INSERT INTO dbo.tblpatients (PersonID, PatientName, Phone) VALUES (1, N'Test Patient', N''), (2147483647, N'Last', N'1 '), (-2147483648, N'First', NULL);
  SET IDENTITY_INSERT dbo.tblpatients OFF`)
await staff(`SET IDENTITY_INSERT dbo.tblwork ON;
  INSERT INTO dbo.tblwork (workid, PersonID, TotalRequired, Typeofwork, DrID, Status, AdditionDate)
  VALUES (1, 1, 0, 19, 1, 1, '2026-01-02T03:04:05'), (2, 2147483647, 0, 19, 1, 1, NULL), (3, -2147483648, 0, 19, 1, 1, NULL);
  SET IDENTITY_INSERT dbo.tblwork OFF`)
await staff(`INSERT INTO dbo.tblAlignerSets (WorkID, SetSequence, AlignerDrID, SetCost, Currency)
  VALUES (1, 1, 1, 1500.50, N'USD'), (2, 1, 1, 10, N'USD'), (3, 1, 1, NULL, NULL)`)
await staff(`INSERT INTO dbo.tblAlignerBatches (AlignerSetID, BatchSequence, UpperAlignerCount, LowerAlignerCount, Days, Notes)
  VALUES (1, 1, 4, 3, 10, N'as it was'), (2, 1, 4, 3, 10, NULL), (3, 1, 4, 3, NULL, N'x')`)
await staff(`INSERT INTO dbo.tblAlignerNotes (AlignerSetID, NoteType, NoteText, IsRead)
  VALUES (1, 'Doctor', N'as it was', 0), (1, 'Lab', N'of the lab', 1), (2, 'Doctor', N'b', 0)`)
await settle()
await doctor("INSERT INTO aligner_notes (aligner_set_id, note_type, note_text) VALUES (1, 'Doctor', 'by a doctor')")
await settle()

const behind = (statement: string) =>
  doctor(`SET session_replication_role = replica; ${statement}; RESET session_replication_role`)
const silently = (table: string, statement: string) =>
  staff(`ALTER TABLE dbo.${table} DISABLE TRIGGER ALL; ${statement}; ALTER TABLE dbo.${table} ENABLE TRIGGER ALL`)
const compare = (tables?: readonly TableName[]) => compareSides(both, tables && { tables })
const repair = (keys: ReadonlyMap<Table, readonly Key[]>) =>
  repairDifferences({ clinic, portal, ring: settle, patienceMs: 3_000 }, keys)

t.test('planted in the clinic', async (t) => {
  const PLANTED: readonly (readonly [table: string, statement: string, found: readonly string[]])[] = [
    [
      'AlignerDoctors',
      "UPDATE dbo.AlignerDoctors SET DoctorName = N'Dr One ' WHERE DrID = 1",
      ['aligner_doctors/1 different doctor_name'],
    ],
    [
      'tblpatients',
      "UPDATE dbo.tblpatients SET Phone = N'1' WHERE PersonID = 2147483647",
      ['patients/2147483647 different phone'],
    ],
    [
      'tblpatients',
      "UPDATE dbo.tblpatients SET Phone = N'' WHERE PersonID = -2147483648",
      ['patients/-2147483648 different phone'],
    ],
    [
      'tblpatients',
      "UPDATE dbo.tblpatients SET PatientName = N'test patient' WHERE PersonID = 1",
      ['patients/1 different patient_name'],
    ],
    [
      'tblwork',
      "UPDATE dbo.tblwork SET AdditionDate = '2026-01-02T03:04:06' WHERE workid = 1",
      ['work/1 different addition_date'],
    ],
    [
      'tblAlignerSets',
      "UPDATE dbo.tblAlignerSets SET SetCost = 1500.49, Notes = N' ' WHERE AlignerSetID = 1",
      ['aligner_set_payments/1 different balance', 'aligner_sets/1 different notes,set_cost'],
    ],
    [
      'tblAlignerBatches',
      "UPDATE dbo.tblAlignerBatches SET Notes = N'as it was ' WHERE AlignerBatchID = 1",
      ['aligner_batches/1 different notes'],
    ],
    [
      'tblAlignerNotes',
      "UPDATE dbo.tblAlignerNotes SET NoteText = N'by a doctor ' WHERE NoteID = -1",
      ['aligner_notes/-1 different note_text'],
    ],
    [
      'tblAlignerNotes',
      "UPDATE dbo.tblAlignerNotes SET NoteText = N'of the lab ' WHERE NoteID = 2",
      ['aligner_notes/2 different note_text'],
    ],
    ['tblAlignerNotes', 'DELETE FROM dbo.tblAlignerNotes WHERE NoteID = 3', ['aligner_notes/3 extra']],
    ['tblAlignerBatches', 'DELETE FROM dbo.tblAlignerBatches WHERE AlignerBatchID = 3', ['aligner_batches/3 extra']],
    [
      'tblAlignerBatches',
      'INSERT INTO dbo.tblAlignerBatches (AlignerSetID, BatchSequence, UpperAlignerCount, LowerAlignerCount, Days) VALUES (1, 7, 1, 1, 1)',
      ['aligner_batches/4 missing'],
    ],
    [
      'tblAlignerNotes',
      "INSERT INTO dbo.tblAlignerNotes (AlignerSetID, NoteType, NoteText) VALUES (1, 'Doctor', N'new')",
      ['aligner_notes/4 missing'],
    ],
    [
      'tblAlignerSets',
      "INSERT INTO dbo.tblAlignerSets (WorkID, SetSequence, AlignerDrID, SetCost, Currency) VALUES (1, 9, 1, 5, N'USD')",
      ['aligner_set_payments/4 missing', 'aligner_sets/4 missing'],
    ],
  ]
  for (const [table, statement, expected] of PLANTED) {
    await silently(table, statement)
    const after = JSON.stringify(await staff(`SELECT * FROM dbo.${table} ORDER BY 1`))
    const { names, plan } = await compare()
    t.strictSame(names, expected, statement)
    t.strictSame((await repair(plan.keys)).remaining, [], statement)
    t.equal(JSON.stringify(await staff(`SELECT * FROM dbo.${table} ORDER BY 1`)), after, 'the clinic is as it was')
    t.strictSame((await compare()).names, [])
  }
})

// A set that goes takes its batches and notes with it, in the portal. Where only the sets are compared, nobody has looked at these.
t.test('a set that only the portal has, alone compared: what goes with it is put on record first', async (t) => {
  await doctor("INSERT INTO aligner_notes (aligner_set_id, note_type, note_text) VALUES (3, 'Doctor', 'known')")
  await settle()
  await behind(`INSERT INTO aligner_notes (note_id, aligner_set_id, note_type, note_text, is_read)
    VALUES (-70, 3, 'Doctor', 'never sent', false)`)
  await doctor("UPDATE aligner_notes SET note_text = 'edited, never heard' WHERE note_id = -2")
  await doctor("DELETE FROM sync.queue WHERE status <> 'Synced'")
  for (const table of ['tblAlignerNotes', 'tblAlignerBatches', 'tblAlignerSets'])
    await silently(table, `DELETE FROM dbo.${table} WHERE AlignerSetID = 3`)
  const { names, plan } = await compare(['aligner_sets'])
  t.strictSame(names, ['aligner_sets/3 extra'])
  const others = await doctor('SELECT * FROM aligner_notes WHERE aligner_set_id <> 3 ORDER BY 1')
  t.strictSame((await repair(plan.keys)).remaining, [])
  t.strictSame(await doctor('SELECT note_id FROM aligner_notes WHERE aligner_set_id = 3'), [])
  t.strictSame(await doctor('SELECT * FROM aligner_notes ORDER BY 1'), others, 'no other note')
  const lost = await doctor("SELECT lost_row ->> 'note_text' AS text FROM sync.lost_edits WHERE reason LIKE 'verify%'")
  for (const text of ['never sent', 'edited, never heard'])
    t.ok(
      lost.some((row) => row.text === text),
      text,
    )
  t.strictSame((await compare()).names, [])
})

// Nothing knows of such a note until it is sent: without a record of it nothing would tell that it was.
t.test("a doctor's note that was never sent, whose set staff delete just before it is", async (t) => {
  await behind(`INSERT INTO aligner_notes (note_id, aligner_set_id, note_type, note_text, is_read)
    VALUES (-80, 2, 'Doctor', 'only here', false)`)
  const { names, plan } = await compare()
  t.strictSame(names, ['aligner_notes/-80 extra'])
  const sendRows: typeof portal.sendRows = async (rows) => {
    for (const table of ['tblAlignerNotes', 'tblAlignerBatches', 'tblAlignerSets'])
      await staff(`DELETE FROM dbo.${table} WHERE AlignerSetID = 2`)
    await settle()
    return portal.sendRows(rows)
  }
  await repairDifferences({ clinic, portal: { ...portal, sendRows }, ring: settle, patienceMs: 1_000 }, plan.keys)
  const lost = await doctor("SELECT lost_row ->> 'note_text' AS text FROM sync.lost_edits WHERE record_id = -80")
  t.match(lost, [{ text: 'only here' }])
  t.strictSame((await compare()).names, [])
})
