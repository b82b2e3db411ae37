import type mssql from 'mssql'
import type pg from 'pg'

let times = 0

/** What is written differs from what was written before, whoever asks: the triggers capture nothing else. */
export const nextTime = (): number => ++times

/** Days for each aligner: no two times the same, or a row may have them already. */
export const daysOf = (n: number): number => 11 + n

const minute = (n: number) => new Date(Date.UTC(2024, 2, 1) + n * 60_000).toISOString().slice(0, 19)

/** One change of every record of the clinic, a statement a table: as many outbox rows as there are records. */
export async function changeClinic(clinic: mssql.ConnectionPool): Promise<void> {
  const n = nextTime()
  for (const statement of [
    `UPDATE dbo.AlignerDoctors SET LogoPath = N'/logos/${n}.png'`,
    `UPDATE dbo.tblpatients SET Phone = N'0771 ${1_000_000 + n}'`,
    `UPDATE dbo.tblwork SET AdditionDate = '${minute(n)}'`,
    `UPDATE dbo.tblAlignerSets SET Notes = N'Check bite ${n}'`,
    `UPDATE dbo.tblAlignerBatches SET Notes = N'مستعجل ${n}'`,
    `UPDATE dbo.tblAlignerNotes SET IsRead = ${n % 2}, NoteText = N'Please check the attachments again, as said on Thursday; visit ${n}. شكراً'`,
    `UPDATE dbo.tblInvoice SET Amountpaid = ${100 + n}`,
  ])
    await clinic.request().query(statement)
}

/** What doctors may change: the days of `batches` batches, and the text of `notes` notes. */
export interface Edits {
  readonly batches: number
  readonly notes: number
}

/** So many doctors' edits, a statement for each kind: as many outbox rows. */
export async function changePortal(portal: pg.Pool, { batches, notes }: Edits): Promise<void> {
  const n = nextTime()
  await portal.query('UPDATE aligner_batches SET days = $1 WHERE aligner_batch_id <= $2', [daysOf(n), batches])
  const text = `The patient came ${n} times; the attachments hold. شكراً`
  await portal.query('UPDATE aligner_notes SET note_text = $1, is_edited = true WHERE note_id <= $2', [text, notes])
}
