// sync.ApplyPortalChanges: a batch is one call and one transaction. Runs against the simulator, and SQLSERVER_URL when it
// is set.
import type { SyncEvent } from '@clinic-sync/contracts'
import { bisect } from '@clinic-sync/sync'
import t from 'tap'
import { openApplying } from './applying.ts'

const bench = await openApplying(t)
const { set } = await bench.treatment()

t.beforeEach(() => bench.clear())

t.test('200 events at once, of all kinds and in any order', async (t) => {
  const batches: number[] = []
  for (let i = 0; i < 50; i++) batches.push(await bench.batch(set, { Days: 7 }))
  const notes: number[] = []
  for (let i = 0; i < 50; i++) notes.push(await bench.note(set, { NoteType: 'Doctor' }))
  await bench.clear()
  const events: SyncEvent[] = []
  for (let i = 0; i < 50; i++) {
    const [batch, note] = [batches[49 - i] as number, notes[i] as number]
    events.push(
      await bench.edit('aligner_batches', batch, { days: i === 7 ? 7 : 100 + i }),
      bench.born(set, { note_text: `new ${i}` }),
      await bench.edit('aligner_notes', note, { note_text: `edited ${i}`, is_read: i % 2 === 0 }),
      bench.born(i === 11 ? 999 : set, { note_text: `more ${i}` }),
    )
  }
  await bench.run('DELETE FROM dbo.tblAlignerActivityFlags')
  const outcomes = await bench.apply(...events)
  t.strictSame(
    outcomes.map(({ table, key, version }) => ({ table, key, version })),
    events.map(({ data: { table, key, version } }) => ({ table, key, version })),
  )
  t.strictSame(
    outcomes.map(({ outcome }) => outcome),
    events.map((_, i) => (i === 28 ? 'unchanged' : i === 47 ? 'dead' : 'applied')),
  )
  t.equal(await bench.value('SELECT COUNT(*) FROM dbo.tblAlignerNotes WHERE NoteID < 0'), 99)
  t.equal(await bench.value('SELECT COUNT(*) FROM dbo.tblAlignerActivityFlags'), 49)
  t.equal(await bench.value('SELECT COUNT(*) FROM sync.RowState'), 199)
  t.equal(await bench.value('SELECT COUNT(*) FROM dbo.SyncQueue'), 198)
  for (const [i, batch] of batches.toReversed().entries())
    if (i % 10 === 0) t.match(await bench.row('aligner_batches', batch), { days: 100 + i })
  const again = await bench.apply(...events)
  t.strictSame(
    again.map(({ outcome }) => outcome),
    events.map((_, i) => (i === 47 ? 'dead' : 'duplicate')),
  )
})

t.test("what a constraint of the clinic's own refuses fails alone: nothing of a failing batch stays", async (t) => {
  const batches: number[] = []
  for (let i = 0; i < 8; i++) batches.push(await bench.batch(set, { Days: 7 }))
  await bench.run('ALTER TABLE dbo.tblAlignerBatches ADD CONSTRAINT CK_test_Days CHECK (Days < 1000)')
  t.teardown(() => bench.run('ALTER TABLE dbo.tblAlignerBatches DROP CONSTRAINT CK_test_Days'))
  await bench.clear()
  const events: SyncEvent[] = [bench.born(set)]
  for (const [i, batch] of batches.entries())
    events.push(await bench.edit('aligner_batches', batch, { days: i === 5 ? 1000 : 10 }))
  const before = Number(await bench.value('SELECT COUNT(*) FROM sync.RowState'))

  await t.rejects(bench.clinic.applyChanges(events), { code: 'SYNC_DATABASE' })
  t.equal(await bench.row('aligner_notes', events[0]?.data.key as number), null)
  t.equal(await bench.value('SELECT COUNT(*) FROM sync.RowState'), before)
  t.equal(await bench.value('SELECT COUNT(*) FROM dbo.tblAlignerBatches WHERE Days = 10'), 0)
  t.strictSame(await bench.queue(), [])

  const results = await bisect(
    events,
    (some) => bench.clinic.applyChanges(some),
    () => false,
  )
  t.strictSame(
    results.map((result) => (result.ok ? result.value.outcome : 'error')),
    events.map((_, i) => (i === 6 ? 'dead' : 'applied')),
  )
  const refused = results[6]
  t.match(refused?.ok === true ? refused.value : null, {
    code: 'SYNC_BAD_VALUE',
    reason: new RegExp(`^aligner_batches/${batches[5]}: the clinic's CHECK CK_test_Days refuses it: `, 'i'),
  })
  t.equal(await bench.value('SELECT COUNT(*) FROM dbo.tblAlignerBatches WHERE Days = 10'), 7)
})

t.test('a transaction that the caller has open is not committed, nor left behind', async (t) => {
  const session = await bench.session()
  t.strictSame(await session.run('SELECT @@TRANCOUNT AS open_'), [{ open_: 0 }])
  const { data } = bench.born(set)
  const changes = JSON.stringify([{ ...data, row: { ...data.row, created_at: '2026-01-31T08:15:30.120' } }])
  const [outcome] = await session.run(`EXEC sync.ApplyPortalChanges @Changes = N'${changes}'`)
  t.match(outcome, { Outcome: 'applied' })
  t.strictSame(await session.run('SELECT @@TRANCOUNT AS open_'), [{ open_: 0 }])
})
