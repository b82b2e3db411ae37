import type { LiveEdit } from './edit.ts'
import type { People } from './person.ts'

/** Every kind of change that a doctor makes in the portal, once. */
export async function doctorEdits({ portal }: People): Promise<LiveEdit[]> {
  const one = async (text: string): Promise<Readonly<Record<string, unknown>>> => {
    const [row] = await portal.query(`${text} LIMIT 1`)
    if (row === undefined) throw new Error(`The portal has no row to edit: ${text}`)
    return row
  }
  const set = (await one(`SELECT aligner_set_id AS id FROM aligner_sets ORDER BY 1 DESC`)).id
  const doctorsNotes = `FROM aligner_notes WHERE note_type = 'Doctor' AND note_id > 0`
  const note = (await one(`SELECT note_id AS id ${doctorsNotes} ORDER BY 1 DESC`)).id
  const unread = (await one(`SELECT note_id AS id ${doctorsNotes} AND NOT is_read AND note_id <> ${note} ORDER BY 1`))
    .id
  const deleted = await one(
    `SELECT note_id AS id, note_text AS text ${doctorsNotes} AND note_id NOT IN (${note}, ${unread})
      AND length(note_text) BETWEEN 5 AND 40 ORDER BY 1 DESC`,
  )
  const batch = await one(
    `SELECT aligner_batch_id AS id, validity_period / days * 21 AS validity,
        (delivered_to_patient_date + validity_period / days * 21)::text AS expiry
      FROM aligner_batches WHERE days > 0 AND days <> 21 AND validity_period > 0
        AND delivered_to_patient_date BETWEEN '2020-01-01' AND '2030-01-01' ORDER BY 1 DESC`,
  )

  return [
    {
      title: 'A new note by a doctor: its key counts down from -1, so that it never meets one of the clinic’s',
      side: 'portal',
      statements: [
        `INSERT INTO aligner_notes (aligner_set_id, note_type, note_text) VALUES (${set}, 'Doctor', 'هل يمكن تأخير الدفعة؟ 🗓️')`,
      ],
      shows: [
        {
          side: 'clinic',
          where: `tblAlignerNotes of set ${set} with a key below 0`,
          look: `SELECT TOP (1) NoteText AS value FROM dbo.tblAlignerNotes WHERE AlignerSetID = ${set} AND NoteID < 0 ORDER BY NoteID`,
          expected: 'هل يمكن تأخير الدفعة؟ 🗓️',
        },
      ],
    },
    {
      title: 'A note edited by a doctor',
      side: 'portal',
      statements: [
        `UPDATE aligner_notes SET note_text = 'Please add an attachment on 13', is_edited = true, edited_at = now() WHERE note_id = ${note}`,
      ],
      shows: [
        {
          side: 'clinic',
          where: `tblAlignerNotes/${note} NoteText`,
          look: `SELECT NoteText AS value FROM dbo.tblAlignerNotes WHERE NoteID = ${note}`,
          expected: 'Please add an attachment on 13',
        },
      ],
    },
    {
      title: 'A note read by a doctor',
      side: 'portal',
      statements: [`UPDATE aligner_notes SET is_read = true WHERE note_id = ${unread}`],
      shows: [
        {
          side: 'clinic',
          where: `tblAlignerNotes/${unread} IsRead`,
          look: `SELECT CAST(IsRead AS int) AS value FROM dbo.tblAlignerNotes WHERE NoteID = ${unread}`,
          expected: '1',
        },
      ],
    },
    {
      title: 'Days per aligner changed by a doctor: what SQL Server computes from them comes back',
      side: 'portal',
      statements: [`UPDATE aligner_batches SET days = 21 WHERE aligner_batch_id = ${batch.id}`],
      shows: [
        {
          side: 'clinic',
          where: `tblAlignerBatches/${batch.id} Days`,
          look: `SELECT Days AS value FROM dbo.tblAlignerBatches WHERE AlignerBatchID = ${batch.id}`,
          expected: '21',
        },
        {
          side: 'portal',
          where: `aligner_batches/${batch.id} validity_period, batch_expiry_date`,
          look: `SELECT validity_period || ', ' || batch_expiry_date AS value FROM aligner_batches WHERE aligner_batch_id = ${batch.id}`,
          expected: `${batch.validity}, ${batch.expiry}`,
        },
      ],
    },
    {
      title: 'A note deleted in the portal: only the clinic deletes, so it comes back',
      side: 'portal',
      statements: [`DELETE FROM aligner_notes WHERE note_id = ${deleted.id}`],
      shows: [
        {
          side: 'portal',
          where: `aligner_notes/${deleted.id} note_text`,
          look: `SELECT note_text AS value FROM aligner_notes WHERE note_id = ${deleted.id}`,
          expected: String(deleted.text),
        },
      ],
    },
  ]
}
