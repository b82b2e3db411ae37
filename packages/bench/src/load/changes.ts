import type mssql from 'mssql'
import type pg from 'pg'

/** One change of every record of the clinic, a statement a table: as many outbox rows as there are records. `round` tells rounds apart. */
export async function changeClinic(clinic: mssql.ConnectionPool, round: number): Promise<void> {
  const phone = `0771 ${1_000_000 + round}`
  for (const statement of [
    `UPDATE dbo.AlignerDoctors SET LogoPath = N'/logos/${round}.png'`,
    `UPDATE dbo.tblpatients SET Phone = N'${phone}'`,
    `UPDATE dbo.tblwork SET AdditionDate = '2024-03-02T${10 + (round % 10)}:00:00'`,
    `UPDATE dbo.tblAlignerSets SET Notes = N'Check bite ${round}'`,
    `UPDATE dbo.tblAlignerBatches SET Notes = N'مستعجل ${round}'`,
    `UPDATE dbo.tblAlignerNotes SET IsRead = ${round % 2}, NoteText = N'Please check the attachments again, as said on Thursday; visit ${round}. شكراً'`,
    `UPDATE dbo.tblInvoice SET Amountpaid = ${100 + round}`,
  ])
    await clinic.request().query(statement)
}

/** What doctors may change: the days of `batches` batches, and the text of `notes` notes. */
export async function changePortal(
  portal: pg.Pool,
  round: number,
  { batches, notes }: { readonly batches: number; readonly notes: number },
): Promise<void> {
  await portal.query('UPDATE aligner_batches SET days = $1 WHERE aligner_batch_id <= $2', [10 + (round % 20), batches])
  const text = `The patient came ${round} times; the attachments hold. شكراً`
  await portal.query('UPDATE aligner_notes SET note_text = $1, is_edited = true WHERE note_id <= $2', [text, notes])
}
