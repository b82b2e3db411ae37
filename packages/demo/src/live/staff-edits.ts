import type mssql from 'mssql'
import type { LiveEdit } from './edit.ts'
import type { People } from './person.ts'

/** Every kind of change that the clinic's staff make, once, each on rows that are in the portal now. */
export async function staffEdits({ clinic, portal }: People): Promise<LiveEdit[]> {
  const one = async (text: string): Promise<Readonly<Record<string, unknown>>> => {
    const [row] = await portal.query(`${text} LIMIT 1`)
    if (row === undefined) throw new Error(`The portal has no row to edit: ${text}`)
    return row
  }
  const patient = (await one(`SELECT person_id AS id FROM patients WHERE phone IS NOT NULL ORDER BY 1`)).id
  const other = await one(
    `SELECT person_id AS id, patient_name AS name FROM patients WHERE patient_name ~ '^[A-Z][a-z]+ [A-Z][a-z]+$' ORDER BY 1`,
  )
  const doctor = (await one(`SELECT dr_id AS id FROM aligner_doctors ORDER BY 1`)).id
  const set = (await one(`SELECT aligner_set_id AS id FROM aligner_sets ORDER BY 1`)).id
  const note = (await one(`SELECT note_id AS id FROM aligner_notes WHERE note_type = 'Lab' ORDER BY 1 DESC`)).id
  const blank = await one(
    `SELECT aligner_set_id AS id, rtrim(notes) AS notes FROM aligner_sets WHERE notes LIKE '% ' ORDER BY 1`,
  )
  const batch = (
    await one(`SELECT aligner_batch_id AS id FROM aligner_batches
    WHERE delivered_to_patient_date IS NULL AND upper_aligner_count > 2 AND lower_aligner_count < 6 ORDER BY 1`)
  ).id
  const unpaid = await one(`SELECT p.aligner_set_id AS id, s.work_id AS work, ceil(p.balance)::int AS due
    FROM aligner_set_payments p JOIN aligner_sets s USING (aligner_set_id) WHERE p.payment_status = 'Unpaid' ORDER BY 1`)
  // A set whose work has another one: the patient stays in scope. Without payments: the clinic keeps paid sets.
  const doomed = (
    await one(`SELECT s.aligner_set_id AS id FROM aligner_sets s
    JOIN aligner_set_payments p USING (aligner_set_id)
    WHERE p.payment_status = 'Unpaid' AND s.aligner_set_id <> ${unpaid.id}
      AND EXISTS (SELECT FROM aligner_sets o WHERE o.work_id = s.work_id AND o.aligner_set_id <> s.aligner_set_id)
    ORDER BY 1`)
  ).id
  const next = await nextKeys(clinic)
  const name = String(other.name)

  return [
    {
      title: "A patient's phone number (the original system's quick test)",
      statements: [`UPDATE tblpatients SET Phone = '555-TEST' WHERE PersonID = ${patient}`],
      side: 'clinic',
      shows: [
        {
          side: 'portal',
          where: `patients/${patient} phone`,
          look: `SELECT phone AS value FROM patients WHERE person_id = ${patient}`,
          expected: '555-TEST',
        },
      ],
    },
    {
      title: 'A new note, in Arabic, with emoji',
      statements: [
        `INSERT INTO dbo.tblAlignerNotes (AlignerSetID, NoteType, NoteText, IsRead) VALUES (${set}, 'Lab', N'الدفعة جاهزة 🦷✨ "today"', 0)`,
      ],
      side: 'clinic',
      shows: [
        {
          side: 'portal',
          where: `aligner_notes of set ${set}, newest`,
          look: `SELECT note_text AS value FROM aligner_notes WHERE aligner_set_id = ${set} AND note_id > ${next.note - 1}`,
          expected: 'الدفعة جاهزة 🦷✨ "today"',
        },
      ],
    },
    {
      title: 'A note edited',
      statements: [
        `UPDATE dbo.tblAlignerNotes SET NoteText = N'Corrected: step 7, not 6 👍🏽', IsEdited = 1, EditedAt = '2026-01-15T10:30:00.003' WHERE NoteID = ${note}`,
      ],
      side: 'clinic',
      shows: [
        {
          side: 'portal',
          where: `aligner_notes/${note} note_text`,
          look: `SELECT note_text AS value FROM aligner_notes WHERE note_id = ${note}`,
          expected: 'Corrected: step 7, not 6 👍🏽',
        },
      ],
    },
    {
      title: 'A new patient with work and a first aligner set, in one transaction',
      statements: [
        `SET IDENTITY_INSERT dbo.tblpatients ON; INSERT INTO dbo.tblpatients (PersonID, PatientName, Phone) VALUES (${next.patient}, N'هيلين كريم', N'0750 000 0000'); SET IDENTITY_INSERT dbo.tblpatients OFF`,
        `SET IDENTITY_INSERT dbo.tblwork ON; INSERT INTO dbo.tblwork (workid, PersonID, TotalRequired, Currency, Typeofwork, DrID) VALUES (${next.work}, ${next.patient}, 1500, N'USD', 19, 1); SET IDENTITY_INSERT dbo.tblwork OFF`,
        `INSERT INTO dbo.tblAlignerSets (WorkID, SetSequence, AlignerDrID, SetCost, Currency) VALUES (${next.work}, 1, ${doctor}, 750.50, N'USD')`,
      ],
      side: 'clinic',
      shows: [
        {
          side: 'portal',
          where: `patients/${next.patient}, its work, set and payments`,
          look: `SELECT p.patient_name || ', set of ' || s.set_cost || ' ' || s.currency || ', ' || a.payment_status AS value
        FROM patients p JOIN work w USING (person_id) JOIN aligner_sets s USING (work_id)
        JOIN aligner_set_payments a USING (aligner_set_id) WHERE p.person_id = ${next.patient}`,
          expected: 'هيلين كريم, set of 750.50 USD, Unpaid',
        },
      ],
    },
    {
      title: 'A batch delivered: SQL Server computes the expiry date',
      statements: [
        `UPDATE dbo.tblAlignerBatches SET UpperAlignerCount = 6, HasUpperTemplate = 0, LowerAlignerCount = 5, Days = 10, DeliveredToPatientDate = '2026-01-15' WHERE AlignerBatchID = ${batch}`,
      ],
      side: 'clinic',
      shows: [
        {
          side: 'portal',
          where: `aligner_batches/${batch} batch_expiry_date`,
          look: `SELECT batch_expiry_date::text AS value FROM aligner_batches WHERE aligner_batch_id = ${batch}`,
          expected: '2026-03-16',
        },
      ],
    },
    {
      title: 'A payment that settles a set',
      statements: [
        `INSERT INTO dbo.tblInvoice (workid, AlignerSetID, Amountpaid, Dateofpayment) VALUES (${unpaid.work}, ${unpaid.id}, ${unpaid.due}, '2026-01-15')`,
      ],
      side: 'clinic',
      shows: [
        {
          side: 'portal',
          where: `aligner_set_payments/${unpaid.id} payment_status`,
          look: `SELECT payment_status AS value FROM aligner_set_payments WHERE aligner_set_id = ${unpaid.id}`,
          expected: 'Paid',
        },
      ],
    },
    {
      title: 'A set deleted, with its notes and batches',
      statements: [
        `DELETE FROM dbo.tblAlignerNotes WHERE AlignerSetID = ${doomed}`,
        `DELETE FROM dbo.tblAlignerBatches WHERE AlignerSetID = ${doomed}`,
        `DELETE FROM dbo.tblAlignerSets WHERE AlignerSetID = ${doomed}`,
      ],
      side: 'clinic',
      shows: [
        {
          side: 'portal',
          where: `rows of set ${doomed} (set, notes, batches, payments)`,
          look: `SELECT ((SELECT count(*) FROM aligner_sets WHERE aligner_set_id = ${doomed})
        + (SELECT count(*) FROM aligner_notes WHERE aligner_set_id = ${doomed})
        + (SELECT count(*) FROM aligner_batches WHERE aligner_set_id = ${doomed})
        + (SELECT count(*) FROM aligner_set_payments WHERE aligner_set_id = ${doomed}))::text AS value`,
          expected: '0',
        },
      ],
    },
    {
      title: 'A doctor renamed',
      statements: [`UPDATE dbo.AlignerDoctors SET DoctorName = N'د. سامر "Sam" الجبوري' WHERE DrID = ${doctor}`],
      side: 'clinic',
      shows: [
        {
          side: 'portal',
          where: `aligner_doctors/${doctor} doctor_name`,
          look: `SELECT doctor_name AS value FROM aligner_doctors WHERE dr_id = ${doctor}`,
          expected: 'د. سامر "Sam" الجبوري',
        },
      ],
    },
    {
      title: 'Only a trailing blank, which SQL Server calls equal',
      statements: [`UPDATE dbo.tblAlignerSets SET Notes = N'${blank.notes}' WHERE AlignerSetID = ${blank.id}`],
      side: 'clinic',
      shows: [
        {
          side: 'portal',
          where: `aligner_sets/${blank.id} notes`,
          look: `SELECT notes AS value FROM aligner_sets WHERE aligner_set_id = ${blank.id}`,
          expected: String(blank.notes),
        },
      ],
    },
    {
      title: 'Only upper and lower case, which the clinic’s collation calls equal',
      statements: [`UPDATE dbo.tblpatients SET PatientName = N'${name.toUpperCase()}' WHERE PersonID = ${other.id}`],
      side: 'clinic',
      shows: [
        {
          side: 'portal',
          where: `patients/${other.id} patient_name`,
          look: `SELECT patient_name AS value FROM patients WHERE person_id = ${other.id}`,
          expected: name.toUpperCase(),
        },
      ],
    },
  ]
}

/** Keys above all that the clinic has. */
async function nextKeys(clinic: mssql.ConnectionPool): Promise<{ patient: number; work: number; note: number }> {
  const above = async (table: string, key: string): Promise<number> => {
    const { recordset } = await clinic.request().query(`SELECT MAX(${key}) AS newest FROM dbo.${table}`)
    return Number(recordset[0]?.newest ?? 0) + 1
  }
  return {
    patient: await above('tblpatients', 'PersonID'),
    work: await above('tblwork', 'workid'),
    note: await above('tblAlignerNotes', 'NoteID'),
  }
}
