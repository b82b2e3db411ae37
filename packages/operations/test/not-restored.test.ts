import t from 'tap'
import { twoSides } from './support/two-sides.ts'

// What looks like a database that went back in time, and is none: to stop the sync for it would be worse than the fault it looks for.

const both = await twoSides(t)
const { staff, doctor, settle, restored, onTheWay } = both

await both.treatment()

/** A set of its own, known to both sides. */
async function newSet(sequence: number): Promise<number> {
  await staff(`INSERT INTO dbo.tblAlignerSets (WorkID, SetSequence, AlignerDrID) VALUES (1, ${sequence}, 1)`)
  await settle()
  const [row] = await staff(`SELECT AlignerSetID FROM dbo.tblAlignerSets WHERE SetSequence = ${sequence}`)
  return Number(row?.AlignerSetID)
}

/** A doctor's new note and its edit, sent as two events. */
async function twoEvents(set: number): Promise<readonly string[]> {
  const [note] =
    await doctor(`INSERT INTO aligner_notes (aligner_set_id, note_type, note_text) VALUES (${set}, 'Doctor', 'new')
    RETURNING note_id`)
  await both.publish('portal')
  await doctor(`UPDATE aligner_notes SET note_text = 'edited' WHERE note_id = ${note?.note_id}`)
  await both.publish('portal')
  const events = onTheWay.clinic.splice(0)
  t.equal(events.length, 2)
  return events.map(({ data }) => data.version)
}

/** What the consumer reports where both came in one batch and the clinic could not take the newer one. */
const refuse = async (key: number, [older = '', newer = '']: readonly string[]) =>
  both.portal.settleChanges([
    {
      table: 'aligner_notes',
      key,
      version: older,
      outcome: 'stale',
      reason: `version ${newer} is dead and stands for it`,
    },
    { table: 'aligner_notes', key, version: newer, outcome: 'dead', code: '23503', reason: 'no such set' },
  ])
const lastNote = async () => Number((await doctor('SELECT min(record_id) AS key FROM sync.row_state'))[0]?.key)

t.test(
  'staff delete what has an edit that the clinic could not take, and an older one that this stood for',
  async (t) => {
    const set = await newSet(1)
    const versions = await twoEvents(set)
    await refuse(await lastNote(), versions)
    t.strictSame(await restored(), [])
    await staff(`DELETE FROM dbo.tblAlignerSets WHERE AlignerSetID = ${set}`)
    await settle()
    t.strictSame(await restored(), [])
  },
)

t.test('… and they delete it before these have come', async (t) => {
  const set = await newSet(2)
  const versions = await twoEvents(set)
  await staff(`DELETE FROM dbo.tblAlignerSets WHERE AlignerSetID = ${set}`)
  await both.publish('clinic')
  await both.deliver('portal')
  await refuse(await lastNote(), versions)
  t.strictSame(await restored(), [])
})
