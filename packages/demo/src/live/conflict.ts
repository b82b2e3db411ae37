import { setTimeout as delay } from 'node:timers/promises'
import { look, type People } from './person.ts'

/** The same value changed by two people before either side heard of the other's. */
export interface Conflict {
  readonly title: string
  readonly table: string
  readonly key: number
  readonly column: string
  /** The two edits; each runs in a transaction of its own. */
  readonly clinicStatement: string
  readonly portalStatement: string
  /** Queries for the value in either database, as the column `value`. */
  readonly clinicLook: string
  readonly portalLook: string
  /** What both sides are to hold in the end. */
  readonly expected: string
}

export interface ConflictResult {
  readonly conflict: Conflict
  /** The entry of sync.Conflicts; undefined if there is none. */
  readonly entry: { readonly clinic: string; readonly portal: string; readonly ruling: string } | undefined
  readonly clinic: string | null
  readonly portal: string | null
  /** From the later COMMIT until both sides held the ruling, in ms; undefined if they did not in time. */
  readonly latency: number | undefined
}

const PATIENCE = 10_000
const ASK_MS = 2

/** One conflict for each policy of the mapping: days are the doctor's word, a note's text the clinic's. */
export async function conflicts({ portal }: People): Promise<Conflict[]> {
  const [batch] = await portal.query(`SELECT aligner_batch_id AS id FROM aligner_batches WHERE days = 10 LIMIT 1`)
  const [note] = await portal.query(
    `SELECT note_id AS id FROM aligner_notes WHERE note_type = 'Doctor' AND note_id > 0 ORDER BY 1 OFFSET 20 LIMIT 1`,
  )
  if (batch === undefined || note === undefined) throw new Error('The portal has nothing to disagree about.')
  return [
    {
      title: 'A doctor and the clinic change the days of one batch at the same moment',
      table: 'aligner_batches',
      key: Number(batch.id),
      column: 'days',
      clinicStatement: `UPDATE dbo.tblAlignerBatches SET Days = 12 WHERE AlignerBatchID = ${batch.id}`,
      portalStatement: `UPDATE aligner_batches SET days = 8 WHERE aligner_batch_id = ${batch.id}`,
      clinicLook: `SELECT Days AS value FROM dbo.tblAlignerBatches WHERE AlignerBatchID = ${batch.id}`,
      portalLook: `SELECT days AS value FROM aligner_batches WHERE aligner_batch_id = ${batch.id}`,
      expected: '8',
    },
    {
      title: 'Both rewrite one note',
      table: 'aligner_notes',
      key: Number(note.id),
      column: 'note_text',
      clinicStatement: `UPDATE dbo.tblAlignerNotes SET NoteText = N'Delivery moved to Sunday' WHERE NoteID = ${note.id}`,
      portalStatement: `UPDATE aligner_notes SET note_text = 'Delivery on Monday?' WHERE note_id = ${note.id}`,
      clinicLook: `SELECT NoteText AS value FROM dbo.tblAlignerNotes WHERE NoteID = ${note.id}`,
      portalLook: `SELECT note_text AS value FROM aligner_notes WHERE note_id = ${note.id}`,
      expected: 'Delivery moved to Sunday',
    },
  ]
}

/**
 * Makes both edits and waits for the ruling. Both transactions hold their row until both edits are made, so neither side can
 * have heard of the other's.
 */
export async function makeConflict(people: People, conflict: Conflict): Promise<ConflictResult> {
  const staff = people.clinic.transaction()
  await staff.begin()
  try {
    await staff.request().batch(conflict.clinicStatement)
    await people.portal.transaction([conflict.portalStatement])
    await staff.commit()
  } catch (error) {
    await staff.rollback().catch(() => undefined)
    throw error
  }
  const committed = performance.now()
  await people.ring()
  while (true) {
    const [clinic, portal, entry] = [
      await look(people, 'clinic', conflict.clinicLook),
      await look(people, 'portal', conflict.portalLook),
      await entryOf(people, conflict),
    ]
    const now = performance.now()
    const settled = clinic === conflict.expected && portal === conflict.expected && entry !== undefined
    if (settled || now > committed + PATIENCE)
      return { conflict, entry, clinic, portal, latency: settled ? now - committed : undefined }
    await delay(ASK_MS)
  }
}

async function entryOf(people: People, { table, key, column }: Conflict): Promise<ConflictResult['entry']> {
  const { recordset } = await people.clinic
    .request()
    .query<{ ClinicValue: string; PortalValue: string; Ruling: string }>(
      `SELECT ClinicValue, PortalValue, Ruling FROM sync.Conflicts WHERE TableName = N'${table}' AND RecordID = ${key} AND ColumnName = N'${column}'`,
    )
  const [row] = recordset
  return row && { clinic: row.ClinicValue, portal: row.PortalValue, ruling: row.Ruling }
}
