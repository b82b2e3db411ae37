import type mssql from 'mssql'
import type { Ground } from './ground.ts'

/** SQL Server takes 1,000 rows a statement at most. */
const ROWS = 500

/**
 * Inserts notes into the first set of the clinic, in one transaction a thousand or less.
 *
 * @param text of the `n`th, from 1
 */
export async function insertNotes(
  { clinic, load }: Pick<Ground, 'clinic' | 'load'>,
  count: number,
  text: (n: number) => string,
): Promise<void> {
  const set = load.ledger.keyOf('set 1')
  for (let from = 1; from <= count; from += ROWS) {
    const request: mssql.Request = clinic.request()
    const rows = Array.from({ length: Math.min(ROWS, count - from + 1) }, (_, i) => {
      request.input(`t${i}`, text(from + i))
      return `(${set}, N'Lab', @t${i})`
    })
    await request.query(`INSERT INTO dbo.tblAlignerNotes (AlignerSetID, NoteType, NoteText) VALUES ${rows.join(', ')}`)
  }
}

/** Keys of the notes whose text begins so, in key order. */
export async function notesLike({ clinic }: Pick<Ground, 'clinic'>, start: string): Promise<readonly number[]> {
  const { recordset } = await clinic
    .request()
    .query<{ NoteID: number }>(`SELECT NoteID FROM dbo.tblAlignerNotes WHERE NoteText LIKE '${start}%' ORDER BY NoteID`)
  return recordset.map(({ NoteID }) => NoteID)
}

export async function deleteNotes({ clinic }: Pick<Ground, 'clinic'>, keys: readonly number[]): Promise<void> {
  for (let from = 0; from < keys.length; from += ROWS)
    await clinic
      .request()
      .query(`DELETE FROM dbo.tblAlignerNotes WHERE NoteID IN (${keys.slice(from, from + ROWS).join(', ')})`)
}

/** How many of these notes the portal has. */
export async function inPortal({ portal }: Pick<Ground, 'portal'>, keys: readonly number[]): Promise<number> {
  const { rows } = await portal.query<{ n: string }>(
    'SELECT count(*) AS n FROM public.aligner_notes WHERE note_id = ANY ($1::integer[])',
    [keys],
  )
  return Number(rows[0]?.n)
}
