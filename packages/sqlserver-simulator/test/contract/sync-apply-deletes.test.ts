// sync.ApplyPortalChanges: deletes, and what comes after them. Runs against the simulator, and SQLSERVER_URL when it is set.
import t from 'tap'
import { openApplying, sharedOf, toWire } from './applying.ts'

t.test("where the portal's deletes do not travel", async (t) => {
  const bench = await openApplying(t)
  const { set } = await bench.treatment()
  const deleted = async (note: number) => {
    const { data } = await bench.edit('aligner_notes', note, {})
    return bench.event('aligner_notes', note, null, { version: data.version, since: data.since, base: data.base })
  }

  await t.test("a doctor's delete is ruled against: the portal gets the row back", async (t) => {
    const note = await bench.note(set, { NoteType: 'Doctor' })
    await bench.clear()
    const event = await deleted(note)
    t.match(await bench.ruling(event), /^unchanged: deletes do not travel from the portal/)
    t.match(await bench.row('aligner_notes', note), { note_text: 'a note' })
    t.strictSame(await bench.queue(), [`aligner_notes/${note} UPDATE`])
    t.strictSame(await bench.conflicts(event), [])
    t.strictSame(await bench.state(event), { seen: event.data.version, values: null })
    t.match(await bench.ruling(event), /^duplicate/)
  })

  await t.test('what the clinic deleted stays deleted, whatever comes late', async (t) => {
    const note = await bench.note(set, { NoteType: 'Doctor', NoteText: 'was' })
    const late = await bench.edit('aligner_notes', note, { note_text: 'late' })
    const later = await bench.edit('aligner_notes', note, { note_text: 'later' })
    await bench.run(`DELETE FROM dbo.tblAlignerNotes WHERE NoteID = ${note}`)
    await bench.clear()
    t.match(await bench.ruling(later), /^conflict/)
    t.equal(await bench.row('aligner_notes', note), null)
    t.strictSame(await bench.queue(), [`aligner_notes/${note} DELETE`])
    const [entry, ...more] = await bench.conflicts(later)
    t.strictSame(more, [])
    t.match(entry, { ColumnName: null, ClinicValue: null, Ruling: 'deleted', PortalVersion: later.data.version })
    t.strictSame(toWire('aligner_notes', JSON.parse(String(entry?.PortalValue))), later.data.row)
    await bench.clear()
    t.match(await bench.ruling(late), /^stale/)
    t.match(await bench.ruling(later), /^duplicate/)
    const latest = bench.event('aligner_notes', note, later.data.row, {
      version: bench.nextVersion(),
      since: late.data.since ?? null,
      base: late.data.base ?? null,
    })
    t.match(await bench.ruling(latest), /^conflict/)
    t.equal(await bench.row('aligner_notes', note), null)
    t.strictSame(await bench.queue(), [`aligner_notes/${note} DELETE`])
  })

  await t.test('a note born in the portal that the clinic deleted is not born again', async (t) => {
    const born = bench.born(set)
    const { key } = born.data
    t.equal(await bench.ruling(born), 'applied')
    await bench.run(`DELETE FROM dbo.tblAlignerNotes WHERE NoteID = ${key}`)
    await bench.clear()
    const edited = bench.born(set, { note_text: 'more' }, { key, since: born.data.since })
    t.match(await bench.ruling(edited), /^conflict/)
    t.equal(await bench.row('aligner_notes', key), null)
    t.strictSame(await bench.queue(), [`aligner_notes/${key} DELETE`])
    t.match(await bench.ruling(born), /^stale/)
  })

  await t.test('gone on both sides', async (t) => {
    const note = await bench.note(set, { NoteType: 'Doctor' })
    const event = await deleted(note)
    await bench.run(`DELETE FROM dbo.tblAlignerNotes WHERE NoteID = ${note}`)
    await bench.clear()
    t.equal(await bench.ruling(event), 'unchanged')
    t.strictSame(await bench.queue(), [])
    t.strictSame(await bench.state(event), { seen: event.data.version, values: null })
  })

  await t.test('a note that was made and deleted before it was sent', async (t) => {
    const version = bench.nextVersion()
    const event = bench.event('aligner_notes', -500, null, { version, since: version, base: null })
    t.equal(await bench.ruling(event), 'unchanged')
    t.strictSame(await bench.state(event), { seen: version, values: null })
    t.match(await bench.ruling(bench.born(set, {}, { key: -500, version: '1', since: '1' })), /^stale/)
  })
})

t.test("where the mapping lets the portal's deletes through", async (t) => {
  const bench = await openApplying(t, { portalDeletes: 'propagate' })
  const { set } = await bench.treatment()

  for (const changes of [null, "NoteText = N'changed'", "NoteType = 'Lab'"]) {
    await t.test(`a note in which the clinic has set ${changes ?? 'nothing'}`, async (t) => {
      const note = await bench.note(set, { NoteType: 'Doctor' })
      const { data } = await bench.edit('aligner_notes', note, {})
      const event = bench.event('aligner_notes', note, null, {
        version: data.version,
        since: data.since,
        base: data.base,
      })
      if (changes !== null) await bench.run(`UPDATE dbo.tblAlignerNotes SET ${changes} WHERE NoteID = ${note}`)
      const row = await bench.row('aligner_notes', note)
      await bench.clear()
      const ruling = await bench.ruling(event)
      if (changes?.startsWith('NoteText')) {
        t.match(ruling, /^conflict/)
        t.strictSame(await bench.row('aligner_notes', note), row)
        t.strictSame(await bench.queue(), [`aligner_notes/${note} UPDATE`])
        const [entry] = await bench.conflicts(event)
        t.match(entry, { ColumnName: null, PortalValue: null, Ruling: 'clinic-wins' })
        const logged = toWire('aligner_notes', JSON.parse(String(entry?.ClinicValue)))
        t.strictSame(sharedOf('aligner_notes', logged), sharedOf('aligner_notes', row ?? {}))
      } else if (changes === null) {
        t.equal(ruling, 'applied')
        t.equal(await bench.row('aligner_notes', note), null)
        t.strictSame(await bench.queue(), [`aligner_notes/${note} DELETE`], 'captured, as any delete')
      } else t.ok((await bench.queue()).length > 0, 'the portal hears of it, whichever way it went')
    })
  }
})
