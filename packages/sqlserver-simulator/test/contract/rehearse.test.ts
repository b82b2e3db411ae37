// What a portal's event would do to the clinic, and that nothing of it stays.
import t from 'tap'
import { openApplying } from './applying.ts'

const clinic = await openApplying(t)
const { set } = await clinic.treatment()
const key = await clinic.note(set, { NoteType: 'Doctor', NoteText: 'as it was' })
const batch = await clinic.batch(set, { Days: 10 })
await clinic.clear()
const { rehearse } = clinic.clinic

/** Everything that an applied event leaves somewhere. */
const traces = async () => ({
  notes: await clinic.run('SELECT NoteID, NoteText FROM dbo.tblAlignerNotes ORDER BY NoteID'),
  batches: await clinic.run('SELECT AlignerBatchID, Days, ValidityPeriod FROM dbo.tblAlignerBatches'),
  queue: await clinic.queue(),
  states: await clinic.value('SELECT COUNT(*) FROM sync.RowState'),
  conflicts: await clinic.value('SELECT COUNT(*) FROM sync.Conflicts'),
})

t.test('says what the record would be, and leaves everything as it was', async (t) => {
  const before = await traces()
  const edited = await rehearse(await clinic.edit('aligner_notes', key, { note_text: "it's Ω new" }))
  t.match(edited, {
    before: { note_text: 'as it was' },
    after: { note_text: "it's Ω new" },
    outcome: { outcome: 'applied' },
  })
  const days = await rehearse(await clinic.edit('aligner_batches', batch, { days: 12 }))
  t.match(days, { before: { days: 10, validity_period: 30 }, after: { days: 12, validity_period: 36 } })
  const born = await rehearse(clinic.born(set, { note_text: 'newborn' }))
  t.equal(born.before, null)
  t.match(born, { after: { note_text: 'newborn' }, outcome: { outcome: 'applied' } })
  t.strictSame(await traces(), before)
  const really = clinic.born(set, { note_text: 'newborn' })
  t.equal(await clinic.ruling(really), 'applied', 'nothing of the rehearsal was seen')
  t.match(await rehearse(really), { outcome: { outcome: 'duplicate' } })
})

t.test('what the clinic refuses is said with its reason', async (t) => {
  const before = await traces()
  const long = await rehearse(clinic.born(set, { note_type: 'x'.repeat(300) }))
  t.match(long, {
    before: null,
    after: null,
    outcome: { outcome: 'dead', code: 'SYNC_BAD_VALUE', reason: /note_type/ },
  })
  const orphan = await rehearse(clinic.born(987_654, {}))
  t.match(orphan, { after: null, outcome: { outcome: 'dead', reason: /aligner_set_id/ } })
  const mistyped = await rehearse(await clinic.edit('aligner_notes', key, { is_read: 5 }))
  t.match(mistyped, { before: { note_text: 'as it was' }, outcome: { outcome: 'dead', reason: /is_read/ } })
  t.match(await rehearse(clinic.event('work' as 'aligner_notes', 1, null, { version: '1', since: null, base: null })), {
    outcome: { outcome: 'dead', code: 'SYNC_NOT_PORTALS' },
  })
  t.match(
    await rehearse(clinic.event('nothing' as 'aligner_notes', 1, null, { version: '1', since: null, base: null })),
    {
      error: { message: 'nothing is not a synced table' },
    },
  )
  t.strictSame(await traces(), before)
})

t.test('a CHECK of the clinic’s own is named, though the procedure rolls back by itself', async (t) => {
  await clinic.run('ALTER TABLE dbo.tblAlignerBatches ADD CONSTRAINT CK_own_days CHECK (Days < 100)')
  t.teardown(() => clinic.run('ALTER TABLE dbo.tblAlignerBatches DROP CONSTRAINT CK_own_days'))
  const before = await traces()
  const refused = await rehearse(await clinic.edit('aligner_batches', batch, { days: 120 }))
  t.match(refused, { before: { days: 10 }, after: { days: 10 }, outcome: { outcome: 'dead', reason: /CK_own_days/i } })
  t.strictSame(await traces(), before)
  t.match(await rehearse(await clinic.edit('aligner_batches', batch, { days: 12 })), {
    outcome: { outcome: 'applied' },
  })
})

t.test('no lock stays, and none is waited for', async (t) => {
  const event = await clinic.edit('aligner_notes', key, { note_text: 'later' })
  t.match(await rehearse(event), { outcome: { outcome: 'applied' } })
  // Whoever holds one record holds up no rehearsal of another.
  const person = await clinic.session()
  await person.run('SET LOCK_TIMEOUT 0')
  await person.begin()
  await person.run(`UPDATE dbo.tblAlignerNotes SET NoteText = N'mine' WHERE NoteID = ${key}`)
  t.match(await rehearse(await clinic.edit('aligner_batches', batch, { days: 11 })), { after: { days: 11 } })
  await person.rollback()
  t.equal(await clinic.value('SELECT @@TRANCOUNT AS n'), 0)
})
