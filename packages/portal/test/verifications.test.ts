import type { Verification } from '@clinic-sync/contracts'
import t from 'tap'
import { batch, bench, event, note, parents } from './help.ts'

// What verify asks of the portal, and what it keeps there.
const db = await bench()
t.teardown(() => db.close())
const { portal } = db
await portal.applyChanges([...parents(), event('aligner_batches', 1, batch(1)), event('aligner_notes', 1, note(1))])
const result = (n: number, complete = true): Verification => {
  const through = new Date(Date.UTC(2026, 0, 1) + n).toISOString()
  return { through, finishedAt: through, complete, rows: n, differences: 0, inFlight: 0, tables: [] }
}

t.test('the last 100 results are kept, and of them the last one of all tables is told', async (t) => {
  t.equal(await portal.lastVerification(), null)
  await portal.keepVerification(result(1))
  await portal.keepVerification(result(2, false))
  t.strictSame(await portal.lastVerification(), result(1))
  for (let n = 3; n <= 130; n++) await portal.keepVerification(result(n, false))
  t.strictSame(await portal.lastVerification(), result(1), 'however many of some tables follow')
  const count = async () => Number((await db.rows('SELECT count(*) AS n FROM sync.verifications'))[0]?.n)
  t.equal(await count(), 101)
  await portal.keepVerification(result(131))
  t.strictSame(await portal.lastVerification(), result(131))
  t.equal(await count(), 100)
})

t.test('what is no result is refused', async (t) => {
  for (const json of ['null', '[]', '{}', '{"complete": 1}', `{"complete": true, "x": "${'x'.repeat(100_001)}"}`])
    await t.rejects(db.rows('SELECT sync.keep_verification($1)', [json]), { code: '22023' }, json.slice(0, 40))
})

t.test('of each record, in order, what tells late from different', async (t) => {
  const names = ([...keys]: number[]) => keys.map((key) => ({ table: 'aligner_notes' as const, key }))
  const before = await portal.recordStates(names([1, 99]))
  t.match(before, [
    { last: '0', open: false, cause: null, editing: false },
    { applied: '0', last: null, open: false, cause: null, editing: false },
  ])
  t.not(before[0]?.applied, '0')
  await db.rows("UPDATE aligner_notes SET note_text = 'edited' WHERE note_id = 1")
  const [edited] = await portal.recordStates(names([1]))
  t.match(edited, { applied: before[0]?.applied, open: true, cause: null, editing: true })
  const version = String(edited?.last)
  const settle = (outcome: 'dead' | 'applied') =>
    portal.settleChanges([{ table: 'aligner_notes', key: 1, version, outcome, code: 'SYNC_BAD_VALUE', reason: 'x' }])
  await settle('dead')
  t.match(await portal.recordStates(names([1])), [{ open: false, cause: 'SYNC_BAD_VALUE', last: version }])
  await settle('applied')
  t.match(await portal.recordStates(names([1])), [{ open: false, cause: null, editing: true }])
})

t.test('what a repair sends anew supersedes what was to be sent, and says that it was a repair', async (t) => {
  const record = { table: 'aligner_notes' as const, key: 1 }
  await db.rows("UPDATE aligner_notes SET note_text = 'edited again' WHERE note_id = 1")
  t.equal(await portal.sendRows([{ ...record, base: { note_text: 'of the clinic' } }]), 1)
  const rows = await db.rows(
    "SELECT status, last_error FROM sync.queue WHERE table_name = 'aligner_notes' AND record_id = 1 ORDER BY queue_id DESC LIMIT 2",
  )
  t.match(rows, [{ status: 'Pending', last_error: null }, { status: 'Synced' }])
  t.equal(rows[1]?.last_error, 'superseded: sent anew by a repair (after-restore, or verify --repair)')
})

t.test('a delete in flight is forgotten only where nothing of it is on its way', async (t) => {
  const record = { table: 'aligner_batches' as const, key: 1 }
  await db.rows('DELETE FROM aligner_batches WHERE aligner_batch_id = 1')
  t.equal(await portal.forgetDeletes([record]), 0)
  await db.rows('DELETE FROM sync.queue')
  t.equal(await portal.forgetDeletes([record]), 1)
  t.match(await portal.recordStates([record]), [{ editing: false }])
})
