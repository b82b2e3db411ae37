// A round of capture, take, apply and settle under the clinic's collation and under a case-sensitive one. Runs against the simulator, which
// has but the clinic's, and against SQLSERVER_URL when it is set: there each in a database of its own.
import t from 'tap'
import { openApplying } from './applying.ts'
import { records, settle } from './bench.ts'

const REAL = Boolean(process.env.SQLSERVER_URL)
const COLLATIONS = REAL ? ['Arabic_CI_AS', 'Arabic_CS_AS'] : ['Arabic_CI_AS']

for (const collation of COLLATIONS) {
  t.test(collation, async (t) => {
    const bench = await openApplying(t, { collation })
    const { clinic, run } = bench
    const isSensitive = collation.includes('_CS_')
    const { set, patient, doctor } = await bench.treatment({ Notes: 'abc' })
    t.equal(
      await bench.value("SELECT COUNT(*) AS n FROM dbo.tblAlignerSets WHERE Notes = N'ABC'"),
      isSensitive ? 0 : 1,
      'compares as the collation says',
    )

    t.test('a change of case, of trailing blanks and of Arabic vowels only is captured', async (t) => {
      for (const text of ["N'ABC'", "N'ABC '", "N'شهد'", "N'شَهد'", "N''", 'NULL']) {
        await bench.clear()
        await run(`UPDATE dbo.tblAlignerSets SET Notes = ${text} WHERE AlignerSetID = ${set}`)
        t.strictSame(await bench.queue(), [`aligner_sets/${set} UPDATE`], text)
        await run(`UPDATE dbo.tblAlignerSets SET Notes = ${text} WHERE AlignerSetID = ${set}`)
        t.equal((await bench.queue()).length, 1, `${text} again`)
      }
    })

    t.test('what is captured is taken, and settled', async (t) => {
      await bench.clear()
      await run(`UPDATE dbo.tblpatients SET Phone = N'1' WHERE PersonID = ${patient}`)
      await run(`UPDATE dbo.AlignerDoctors SET DoctorName = N'DR. SARA' WHERE DrID = ${doctor}`)
      const { changes } = await clinic.takeChanges(10)
      t.strictSame(records(changes), [`patients/${patient}`, `aligner_doctors/${doctor}`])
      t.match(changes, [{ row: { phone: '1' } }, { row: { doctor_name: 'DR. SARA' } }])
      await settle(clinic, changes, 'applied')
      t.equal(await bench.value("SELECT COUNT(*) AS n FROM dbo.SyncQueue WHERE Status = N'Synced'"), 2)
    })

    t.test("a doctor's change of case only is an edit, and one of both sides is a conflict", async (t) => {
      const note = await bench.note(set, { NoteType: 'Doctor', NoteText: 'abc' })
      t.match(await bench.ruling(await bench.edit('aligner_notes', note, { note_text: 'Abc' })), 'applied')
      t.equal((await bench.row('aligner_notes', note))?.note_text, 'Abc')
      t.match(await bench.ruling(await bench.edit('aligner_notes', note, { note_text: 'Abc' })), 'unchanged')
      const edit = await bench.edit('aligner_notes', note, { note_text: 'ABC' })
      await run(`UPDATE dbo.tblAlignerNotes SET NoteText = N'abC' WHERE NoteID = ${note}`)
      t.match(await bench.ruling(edit), /^conflict/)
      const born = bench.born(set, { note_text: 'Šaḥd شهد' })
      t.equal(await bench.ruling(born), 'applied')
      t.equal((await bench.row('aligner_notes', born.data.key))?.note_text, 'Šaḥd شهد')
    })

    t.test('pages, a backfill, and what the doctor looks at', async (t) => {
      t.strictSame(
        (await clinic.readRows('patients', null, 10)).map(({ key }) => key),
        [patient],
      )
      await bench.clear()
      t.match(await clinic.backfillPage('aligner_doctors', 10, true), { queued: 1, done: 1, finished: true })
      t.equal((await clinic.openRows()).length, 1)
      const found = await clinic.inspect()
      t.equal(found.get('trigger:trg_sync_tblAlignerSets'), 'enabled')
      t.equal(found.get('outbox:Pending'), '1')
      t.equal(found.get('right:EXECUTE sync.TakeChanges'), '1')
    })
  })
}
