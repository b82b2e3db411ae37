import t from 'tap'
import { addCase, startPipeline } from './pipeline.ts'

// The second direction as a doctor uses it, through the real services.

const pipeline = await startPipeline(t)
const { clinic, portal, until, settled } = pipeline

const inClinic = async (query: string): Promise<Record<string, unknown> | undefined> =>
  (await clinic.request().query<Record<string, unknown>>(query)).recordset[0]
const inPortal = async (query: string): Promise<Record<string, unknown> | undefined> =>
  (await portal.query<Record<string, unknown>>(query)).rows[0]
const note = (key: number) =>
  inClinic(`SELECT NoteText, CAST(IsRead AS int) AS IsRead FROM dbo.tblAlignerNotes WHERE NoteID = ${key}`)

/** A note by the clinic's staff for set 1; its key. */
async function staffNote(type: 'Lab' | 'Doctor', text: string): Promise<number> {
  const row = await inClinic(
    `INSERT INTO dbo.tblAlignerNotes (AlignerSetID, NoteType, NoteText) VALUES (1, '${type}', N'${text}'); SELECT CAST(SCOPE_IDENTITY() AS int) AS id`,
  )
  return Number(row?.id)
}
/** A note by a doctor; its key. */
const doctorNote = async (text: string, set = 1): Promise<number> =>
  Number(
    (
      await inPortal(
        `INSERT INTO aligner_notes (aligner_set_id, note_type, note_text) VALUES (${set}, 'Doctor', '${text}') RETURNING note_id`,
      )
    )?.note_id,
  )

await addCase(clinic, 1)
const batch = Number(
  (
    await inClinic(`INSERT INTO dbo.tblAlignerBatches (AlignerSetID, BatchSequence, UpperAlignerCount, LowerAlignerCount, Days, DeliveredToPatientDate)
      VALUES (1, 1, 4, 3, 10, '2026-01-01'); SELECT CAST(SCOPE_IDENTITY() AS int) AS id`)
  )?.id,
)
const kept = await staffNote('Doctor', 'as it was')
await settled()

t.test('a new note, an edited note, a read note: in the clinic within a second', async (t) => {
  const within = async (what: string, holds: () => Promise<boolean>) => {
    const committed = performance.now()
    await until(what, holds)
    t.ok(performance.now() - committed < 1_000, `${what}: within a second`)
  }
  const born = await doctorNote('متى الدفعة القادمة؟ 🗓️')
  await within('the new note is there', async () => (await note(born))?.NoteText === 'متى الدفعة القادمة؟ 🗓️')
  await portal.query(
    `UPDATE aligner_notes SET note_text = 'edited', is_edited = true, edited_at = now() WHERE note_id = ${kept}`,
  )
  await within('the edit is there', async () => (await note(kept))?.NoteText === 'edited')
  await portal.query(`UPDATE aligner_notes SET is_read = true WHERE note_id = ${kept}`)
  await within('it is read', async () => (await note(kept))?.IsRead === 1)
})

t.test('keys of both sides never meet, and the clinic’s own go on as if nothing had come', async (t) => {
  await settled()
  const before = await staffNote('Lab', 'before')
  const [one, two] = await Promise.all([doctorNote('from one doctor'), doctorNote('from another')])
  await until('both are there', async () => Boolean((await note(one)) && (await note(two))))
  const after = await staffNote('Lab', 'after')
  t.equal(after, before + 1, 'the next IDENTITY')
  t.ok(one < 0 && two < 0 && one !== two)
  await settled()
  t.match(await inPortal(`SELECT note_text FROM aligner_notes WHERE note_id = ${after}`), { note_text: 'after' })
})

t.test('changed days: what SQL Server computes comes back within the second, and then there is silence', async (t) => {
  await settled()
  const counts = async () => ({
    portal: Number((await inPortal('SELECT count(*) AS n FROM sync.queue'))?.n),
    clinic: Number((await inClinic('SELECT COUNT(*) AS n FROM dbo.SyncQueue'))?.n),
  })
  const before = await counts()
  const committed = performance.now()
  await portal.query(`UPDATE aligner_batches SET days = 14 WHERE aligner_batch_id = ${batch}`)
  await until('the dates are back', async () => {
    const row = await inPortal(
      `SELECT validity_period, batch_expiry_date::text AS expiry FROM aligner_batches WHERE aligner_batch_id = ${batch}`,
    )
    return row?.validity_period === 56 && row.expiry === '2026-02-26'
  })
  t.ok(performance.now() - committed < 1_000)
  await settled()
  // A loop would go on making outbox rows: one more round through both sides is waited for, and makes none.
  await portal.query(`UPDATE aligner_notes SET is_read = false WHERE note_id = ${kept}`)
  await until('the round is over', async () => (await note(kept))?.IsRead === 0)
  await settled()
  const after = await counts()
  t.same(
    { portal: after.portal - before.portal, clinic: after.clinic - before.clinic },
    { portal: 2, clinic: 2 },
    'one event there and one back for each of the two edits',
  )
  t.match(await inClinic(`SELECT COUNT(*) AS n FROM dbo.tblAlignerActivityFlags WHERE RelatedRecordID = ${batch}`), {
    n: 1,
  })
})

t.test('deletes: the clinic’s are final, a doctor’s are undone, and nothing late revives a row', async (t) => {
  const restored = await staffNote('Doctor', 'not the doctor’s to delete')
  const doomed = await staffNote('Doctor', 'to be deleted')
  await settled()
  await portal.query(`DELETE FROM aligner_notes WHERE note_id = ${restored}`)
  await until('it is back', async () =>
    Boolean(await inPortal(`SELECT FROM aligner_notes WHERE note_id = ${restored}`)),
  )
  // The edit is made while the clinic's delete is on its way: both are held until both are made.
  const staff = clinic.transaction()
  await staff.begin()
  await staff.request().query(`DELETE FROM dbo.tblAlignerNotes WHERE NoteID = ${doomed}`)
  await portal.query(`UPDATE aligner_notes SET note_text = 'too late' WHERE note_id = ${doomed}`)
  await staff.commit()
  await until('it is gone', async () => !(await inPortal(`SELECT FROM aligner_notes WHERE note_id = ${doomed}`)))
  await settled()
  t.equal(await note(doomed), undefined)
  t.equal(await inPortal(`SELECT FROM aligner_notes WHERE note_id = ${doomed}`), undefined)
  const logged = await inClinic(
    `SELECT PortalValue FROM sync.Conflicts WHERE TableName = N'aligner_notes' AND RecordID = ${doomed}`,
  )
  const lost = await inPortal(
    `SELECT lost_row ->> 'note_text' AS text FROM sync.lost_edits WHERE record_id = ${doomed}`,
  )
  t.ok(
    String(logged?.PortalValue).includes('too late') || lost?.text === 'too late',
    'what the doctor wrote is on record',
  )
})

t.test('what is the clinic’s alone goes back, and stays on record', async (t) => {
  const lab = await staffNote('Lab', 'by the lab')
  await settled()
  await portal.query(`UPDATE aligner_notes SET note_text = 'by a doctor' WHERE note_id = ${lab}`)
  await portal.query(
    `UPDATE aligner_batches SET notes = 'by a doctor', validity_period = 1 WHERE aligner_batch_id = ${batch}`,
  )
  await until('the batch is as it was', async () => {
    const row = await inPortal(`SELECT notes, validity_period FROM aligner_batches WHERE aligner_batch_id = ${batch}`)
    return row?.notes === null && row.validity_period === 56
  })
  await until('the note is as it was', async () => {
    return (await inPortal(`SELECT note_text FROM aligner_notes WHERE note_id = ${lab}`))?.note_text === 'by the lab'
  })
  const { rows } = await portal.query(
    `SELECT record_id, lost_row FROM sync.lost_edits WHERE reason LIKE 'not the portal%' ORDER BY 1`,
  )
  t.match(
    rows.filter(({ record_id }) => record_id === batch || record_id === lab),
    [{ lost_row: { notes: 'by a doctor' } }, { lost_row: { note_text: 'by a doctor' } }],
  )
})

t.test('what the clinic cannot take is a dead letter with its reason, and holds up nothing else', async (t) => {
  await settled()
  await portal.query(`INSERT INTO aligner_sets (aligner_set_id, work_id, aligner_dr_id) VALUES (999, 1, 1)`)
  const unknown = await doctorNote('for a set that the clinic does not have', 999)
  await portal.query(`UPDATE aligner_notes SET is_read = NULL WHERE note_id = ${kept}`)
  const ancient = await doctorNote('from long ago')
  await portal.query(`UPDATE aligner_notes SET edited_at = '1500-01-01Z' WHERE note_id = ${ancient}`)
  const lab = Number(
    (
      await inPortal(
        `INSERT INTO aligner_notes (aligner_set_id, note_type, note_text) VALUES (1, 'Lab', 'not theirs') RETURNING note_id`,
      )
    )?.note_id,
  )
  const good = await doctorNote('a good one behind them')
  await until('the good one is there', async () => Boolean(await note(good)))
  await settled()
  const { rows } = await portal.query<{ record_id: number; last_error: string }>(
    `SELECT record_id, last_error FROM sync.queue WHERE status = 'Failed' ORDER BY queue_id`,
  )
  const reason = (key: number) => rows.findLast(({ record_id }) => record_id === key)?.last_error
  t.equal(
    reason(unknown),
    `SYNC_BAD_VALUE: aligner_notes/${unknown}: aligner_set_id: the clinic has no aligner_sets 999`,
  )
  t.equal(reason(kept), `SYNC_BAD_VALUE: aligner_notes/${kept}: is_read must not be null`)
  t.match(reason(ancient), /edited_at: outside the years 1753 to 9999 of datetime/)
  t.match(reason(lab), /note_type: only 'Doctor'/)
  // Corrected by the doctor, they arrive.
  await portal.query(`UPDATE aligner_notes SET is_read = true WHERE note_id = ${kept}`)
  await portal.query(`UPDATE aligner_notes SET edited_at = NULL WHERE note_id = ${ancient}`)
  await until('they are there', async () => (await note(kept))?.IsRead === 1 && Boolean(await note(ancient)))
  await settled()
  const left = await portal.query(`SELECT DISTINCT record_id FROM sync.queue WHERE status = 'Failed' ORDER BY 1`)
  t.same(
    left.rows.map(({ record_id }) => record_id).sort(),
    [unknown, lab].sort(),
    'a corrected row is not stuck any more',
  )
})
