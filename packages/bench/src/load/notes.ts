import type mssql from 'mssql'
import type { Stage } from '../stage/stage.ts'
import { nextTime } from './changes.ts'

/** Rows a statement: it ends long before the driver loses patience. */
const STEP = 50_000

const CLINIC = 'AlignerSetID, NoteType, NoteText, CreatedAt, IsEdited, EditedAt, IsRead'
const PORTAL = 'aligner_set_id, note_type, note_text, created_at, is_edited, edited_at, is_read'

/**
 * Has at least so many notes on both sides, with keys from 1 on: copies of those there are, made where they are, and with their
 * bookkeeping, as if they had been synced long ago. Nothing is captured.
 */
export async function growNotes({ clinic, portal }: Stage, count: number): Promise<void> {
  const { rows } = await portal.query<{ n: string; last: number }>(
    'SELECT count(*) AS n, max(note_id) AS last FROM aligner_notes',
  )
  let have = rows[0]?.last ?? 0
  if (Number(rows[0]?.n) !== have) throw new Error('The notes are not those that the benchmark has made.')
  while (have < count) {
    const step = Math.min(have, count - have, STEP)
    await clinic.request().batch(`
      DISABLE TRIGGER dbo.trg_sync_tblAlignerNotes ON dbo.tblAlignerNotes;
      SET IDENTITY_INSERT dbo.tblAlignerNotes ON;
      INSERT INTO dbo.tblAlignerNotes (NoteID, ${CLINIC}) SELECT NoteID + ${have}, ${CLINIC} FROM dbo.tblAlignerNotes WHERE NoteID <= ${step};
      SET IDENTITY_INSERT dbo.tblAlignerNotes OFF;
      ENABLE TRIGGER dbo.trg_sync_tblAlignerNotes ON dbo.tblAlignerNotes;
      DELETE FROM sync.RowState WHERE TableName = N'aligner_notes' AND RecordID > ${have};
      INSERT INTO sync.RowState (TableName, RecordID) SELECT N'aligner_notes', NoteID FROM dbo.tblAlignerNotes WHERE NoteID > ${have}`)
    await portal.query(`
      BEGIN;
      SELECT set_config('sync.applying', 'on', true);
      INSERT INTO aligner_notes (note_id, ${PORTAL}) SELECT note_id + ${have}, ${PORTAL} FROM aligner_notes WHERE note_id <= ${step};
      INSERT INTO sync.row_state (table_name, record_id, clinic_version)
        SELECT table_name, record_id + ${have}, clinic_version FROM sync.row_state
        WHERE table_name = 'aligner_notes' AND record_id <= ${step};
      COMMIT`)
    have += step
  }
  await portal.query('VACUUM (ANALYZE)')
}

/** Staff change the text of the notes with keys above `after`, so many. */
export async function changeNotes(clinic: mssql.ConnectionPool, after: number, count: number): Promise<void> {
  const n = nextTime()
  for (let done = 0; done < count; done += STEP)
    await clinic
      .request()
      .query(
        `UPDATE dbo.tblAlignerNotes SET NoteText = N'Rang the patient, who comes on Thursday; ${n}' ` +
          `WHERE NoteID BETWEEN ${after + done + 1} AND ${after + Math.min(count, done + STEP)}`,
      )
}

/** As `changeNotes`, doctors, in one statement. */
export async function editNotes({ portal }: Stage, after: number, count: number): Promise<void> {
  const text = `The patient says that it fits; ${nextTime()}`
  await portal.query('UPDATE aligner_notes SET note_text = $1 WHERE note_id BETWEEN $2 AND $3', [
    text,
    after + 1,
    after + count,
  ])
}
