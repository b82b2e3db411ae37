// One record's story as the clinic knows it, and its log of conflicts: sync.RecordHistory, sync.Rulings, sync.RuledValues. Runs
// against the simulator, and SQLSERVER_URL when it is set.
import { tables } from '@clinic-sync/mapping'
import { DatabaseError } from '@clinic-sync/sync'
import t from 'tap'
import { openApplying } from './applying.ts'

const bench = await openApplying(t)
const { run, clinic } = bench
const { doctor, patient, work, set } = await bench.treatment()
// Babelfish takes long over the first call.
if (bench.babelfish) await clinic.check().catch(() => undefined)
t.beforeEach(() => bench.clear())

const isNow = (instant: string | null | undefined) =>
  Math.abs(Date.parse(String(instant)) - Date.now()) < 60_000 && String(instant).endsWith('Z')

t.test('records that there never were', async (t) => {
  for (const { name } of tables)
    t.strictSame(
      await clinic.recordHistory(name, 4_711_000, 10),
      {
        presence: 'absent',
        latest: '0',
        applied: '0',
        hold: null,
        outbox: [],
        outboxRows: 0,
        editing: null,
        reported: null,
        rulings: [],
      },
      name,
    )
  await t.rejects(clinic.recordHistory('tblpatients' as 'patients', 1, 1), DatabaseError)
})

t.test('which records are synced, and which the mapping leaves out', async (t) => {
  const presence = async (name: Parameters<typeof clinic.recordHistory>[0], key: number) =>
    (await clinic.recordHistory(name, key, 1)).presence
  t.equal(await presence('aligner_doctors', doctor), 'synced')
  t.equal(await presence('patients', patient), 'synced')
  t.equal(await presence('work', work), 'synced')
  t.equal(await presence('aligner_sets', set), 'synced')
  t.equal(await presence('aligner_batches', await bench.batch(set)), 'synced')
  t.equal(await presence('aligner_set_payments', set), 'unsynced', 'a set without a cost')
  await run(`UPDATE dbo.tblAlignerSets SET SetCost = 500 WHERE AlignerSetID = ${set}`)
  t.equal(await presence('aligner_set_payments', set), 'synced')
  const other = await bench.patient()
  t.equal(await presence('patients', other), 'unsynced')
  const unaligned = await bench.work(other)
  t.equal(await presence('patients', other), 'unsynced', 'with a work that no set refers to')
  t.equal(await presence('work', unaligned), 'unsynced')
})

t.test('its outbox rows, the latest first', async (t) => {
  const note = await bench.note(set)
  const [first] = (await clinic.takeChanges(10)).changes
  const name = { table: 'aligner_notes' as const, key: note, version: String(first?.version) }
  await clinic.settleChanges([{ ...name, outcome: 'queued' }])
  await clinic.settleChanges([{ ...name, outcome: 'retry', code: '23503', reason: 'its set is missing' }])
  await run(`UPDATE dbo.tblAlignerNotes SET NoteText = N'later' WHERE NoteID = ${note}`)
  const found = await clinic.recordHistory('aligner_notes', note, 10)
  t.match(found, {
    presence: 'synced',
    outboxRows: 2,
    outbox: [
      { operation: 'UPDATE', status: 'Pending', attempts: 0, lastAttempt: null, reason: null, uncommitted: false },
      {
        queueId: name.version,
        operation: 'INSERT',
        status: 'Queued',
        attempts: 2,
        reason: '23503: its set is missing',
      },
    ],
  })
  t.equal(found.latest, found.outbox[0]?.queueId)
  t.ok(isNow(found.outbox[0]?.capturedAt))
  t.ok(isNow(found.outbox[1]?.lastAttempt))
  t.match(await clinic.recordHistory('aligner_notes', note, 1), { outboxRows: 2, outbox: [{ status: 'Pending' }] })
  await run(`DELETE FROM dbo.tblAlignerNotes WHERE NoteID = ${note}`)
  t.match(await clinic.recordHistory('aligner_notes', note, 1), {
    presence: 'absent',
    outbox: [{ operation: 'DELETE' }],
  })
})

t.test('what the original system wrote of a failure is not told', async (t) => {
  await run(
    "INSERT INTO dbo.SyncQueue (TableName, RecordID, Operation, Status, LastError) VALUES (N'patients', 77, N'UPDATE', N'Failed', N'Ali Hassan')",
  )
  t.match(await clinic.recordHistory('patients', 77, 1), { outbox: [{ status: 'Failed', reason: null }] })
})

t.test('what it has seen of the portal, and why it takes nothing', async (t) => {
  const note = await bench.note(set, { NoteType: 'Doctor', NoteText: 'ours' })
  const edit = await bench.edit('aligner_notes', note, {
    note_text: 'hers',
    is_edited: true,
    edited_at: '2026-02-01T09:00:00.120Z',
  })
  await bench.apply(edit)
  t.match(await clinic.recordHistory('aligner_notes', note, 10), {
    applied: edit.data.version,
    reported: { note_text: 'hers', is_edited: true, edited_at: '2026-02-01T09:00:00.120Z', is_read: false },
    hold: null,
    rulings: [],
  })
  await clinic.hold('repair')
  t.match(await clinic.recordHistory('aligner_notes', note, 10), { hold: 'repair' })
  await clinic.hold(null)
})

t.test('conflicts, without values in the list, and with them on request', async (t) => {
  const note = await bench.note(set, { NoteType: 'Doctor', NoteText: 'base' })
  const edit = await bench.edit('aligner_notes', note, { note_text: 'hers', edited_at: '2026-02-01T09:00:00.120Z' })
  await run(
    `UPDATE dbo.tblAlignerNotes SET NoteText = N'ours', EditedAt = '2026-02-01T10:00:00.120' WHERE NoteID = ${note}`,
  )
  await bench.apply(edit)
  const { rulings } = await clinic.recordHistory('aligner_notes', note, 10)
  t.strictSame(rulings.map(({ columns }) => String(columns)).sort(), ['edited_at', 'note_text'])
  for (const ruling of rulings) {
    t.match(ruling, { table: 'aligner_notes', key: note, ruling: 'clinic-wins', version: edit.data.version })
    t.match(ruling.id, /^clinic\/\d+$/)
    t.ok(isNow(ruling.at))
  }
  t.notMatch(JSON.stringify(rulings), /ours|hers|base"/)
  const valuesOf = async (column: string) =>
    (await clinic.ruledValues(String(rulings.find(({ columns }) => columns?.[0] === column)?.id)))?.values
  t.strictSame(await valuesOf('note_text'), [{ column: 'note_text', clinic: 'ours', portal: 'hers', base: 'base' }])
  t.strictSame(await valuesOf('edited_at'), [
    { column: 'edited_at', clinic: '2026-02-01T07:00:00.120Z', portal: '2026-02-01T09:00:00.120Z', base: null },
  ])

  // A row that the clinic had deleted: the doctor's whole row.
  const gone = await bench.note(set, { NoteType: 'Doctor', NoteText: 'base' })
  const late = await bench.edit('aligner_notes', gone, { note_text: 'too late' })
  await run(`DELETE FROM dbo.tblAlignerNotes WHERE NoteID = ${gone}`)
  await bench.apply(late)
  const [ruling] = (await clinic.recordHistory('aligner_notes', gone, 10)).rulings
  t.match(ruling, { ruling: 'deleted', columns: null })
  const { values = [] } = (await clinic.ruledValues(String(ruling?.id))) ?? {}
  t.match(
    values.find(({ column }) => column === 'note_text'),
    { clinic: null, portal: 'too late' },
  )
  t.match(
    values.find(({ column }) => column === 'note_id'),
    { portal: gone },
  )
  t.match(
    values.find(({ column }) => column === 'created_at')?.portal,
    late.data.row?.created_at,
    'an instant, not the wall clock',
  )

  const all = await clinic.rulings(null, 100)
  t.strictSame(all[0]?.id, ruling?.id, 'the latest first')
  t.equal(all.length, 3)
  const pages = [...(await clinic.rulings(null, 1)), ...(await clinic.rulings(String(all[0]?.id), 100))]
  const lasting = (list: typeof all) => list.map(({ id, key }) => [id, key])
  t.strictSame(lasting(pages), lasting(all))
  for (const id of ['portal/1', 'clinic/', 'clinic/x', `clinic/${'9'.repeat(30)}`]) {
    t.equal(await clinic.ruledValues(id), null, id)
    await t.rejects(clinic.rulings(id, 1), DatabaseError, id)
  }
  t.equal(await clinic.ruledValues('clinic/999999'), null)
})

t.test(
  'an open transaction is not waited for, and what it does is told as such',
  { skip: bench.babelfish && 'it ignores READPAST, and shows nothing that is not committed' },
  async (t) => {
    const note = await bench.note(set)
    await bench.clear()
    const session = await bench.session()
    await session.begin()
    await session.run(`UPDATE dbo.tblAlignerNotes SET NoteText = N'open' WHERE NoteID = ${note}`)
    t.match(await clinic.recordHistory('aligner_notes', note, 10), {
      presence: null,
      latest: '0',
      outbox: [{ status: 'Pending', uncommitted: true }],
    })
    await session.rollback()
    t.match(await clinic.recordHistory('aligner_notes', note, 10), { presence: 'synced', outboxRows: 0 })

    await session.begin()
    await session.run(`DELETE FROM dbo.tblAlignerNotes WHERE NoteID = ${note}`)
    t.match(await clinic.recordHistory('aligner_notes', note, 10), {
      presence: null,
      outbox: [{ uncommitted: true }],
    })
    await session.rollback()

    await session.begin()
    await bench.run(`UPDATE dbo.tblAlignerSets SET SetCost = 500 WHERE AlignerSetID = ${set}`)
    await session.run(`INSERT INTO dbo.tblInvoice (AlignerSetID, Amountpaid) VALUES (${set}, 100)`)
    t.match(await clinic.recordHistory('aligner_set_payments', set, 10), { presence: null })
    await session.run(
      "INSERT INTO sync.Conflicts (TableName, RecordID, Ruling, PortalVersion) VALUES (N'work', 1, N'deleted', 1)",
    )
    const before = await clinic.rulings(null, 100)
    t.notOk(
      before.some(({ table }) => table === 'work'),
      'nor is the log of conflicts waited for',
    )
    await session.rollback()
  },
)
