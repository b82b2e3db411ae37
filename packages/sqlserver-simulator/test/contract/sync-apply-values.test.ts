// sync.ApplyPortalChanges: what the clinic cannot take is dead, by itself, with a reason that names record, column and
// limit and no value. Runs against the simulator, and SQLSERVER_URL when it is set.
import type { SyncEvent } from '@clinic-sync/contracts'
import { openZone } from '@clinic-sync/clinic'
import t, { type Test } from 'tap'
import { openApplying } from './applying.ts'

const bench = await openApplying(t)
const { set } = await bench.treatment()
const note = await bench.note(set, { NoteType: 'Doctor' })
const batch = await bench.batch(set, { Days: 7 })

t.beforeEach(() => bench.clear())

/** Whichever way it is said: what binds is which column, and the limit. */
const ONLY_DOCTORS = /: note_type: only 'Doctor' /

async function dies(t: Test, event: SyncEvent, reason: RegExp | string): Promise<void> {
  const { table, key } = event.data
  const before = await bench.state(event)
  const found = await bench.ruling(event)
  t.match(found, /^dead SYNC_BAD_VALUE: /)
  t.match(
    found.replace('dead SYNC_BAD_VALUE: ', ''),
    typeof reason === 'string' ? `${table}/${key}: ${reason}` : reason,
  )
  t.notMatch(found, /SECRET|0770/)
  t.strictSame(await bench.state(event), before, 'nothing is recorded')
  t.strictSame(await bench.conflicts(event), [])
  t.strictSame(await bench.queue(), [])
}

t.test('a new note', async (t) => {
  await dies(t, bench.born(999), 'aligner_set_id: the clinic has no aligner_sets 999')
  await dies(t, bench.born(set, { note_type: 'Lab' }), ONLY_DOCTORS)
  await dies(t, bench.born(set, { note_type: 'doctor' }), ONLY_DOCTORS)
  await dies(t, bench.born(set, { note_type: 'Doctor ' }), ONLY_DOCTORS)
  await dies(
    t,
    bench.born(set, { note_type: 'SECRET'.repeat(5) }),
    /: note_type: (longer than 20 characters|only 'Doctor')/,
  )
  for (const column of ['aligner_set_id', 'note_text', 'is_read'])
    await dies(t, bench.born(set, { [column]: null }), new RegExp(`: ${column}:? must not be null$`))
  await dies(t, bench.born(set, { note_type: null }), /: note_type(:| must not be null)/)
  for (const column of ['created_at', 'edited_at'])
    await dies(
      t,
      bench.born(set, { [column]: '1752-12-31T20:59:59.990Z' }),
      `${column}: outside the years 1753 to 9999 of datetime`,
    )
  await dies(t, bench.born(set, {}, { key: 999_999 }), 'note_id: a record born in the portal has a key below 0')
  t.strictSame(await bench.run('SELECT NoteID FROM dbo.tblAlignerNotes WHERE NoteID < 0 OR NoteID > 999'), [])
})

t.test('an edit', async (t) => {
  const edit = (changes: Record<string, string | boolean | null>) => bench.edit('aligner_notes', note, changes)
  await dies(t, await edit({ note_text: null }), /: note_text:? must not be null$/)
  await dies(t, await edit({ is_read: null }), /: is_read:? must not be null$/)
  await dies(
    t,
    await edit({ edited_at: '0001-01-01T00:00:00.000Z' }),
    'edited_at: outside the years 1753 to 9999 of datetime',
  )
  await dies(
    t,
    await edit({ edited_at: '9999-12-31T20:59:59.999Z' }),
    'edited_at: outside the years 1753 to 9999 of datetime',
  )
  await dies(
    t,
    await edit({ edited_at: '+010000-01-01T00:00:00.000Z' }),
    'edited_at: not an instant from the year 1 to 9999',
  )
  await dies(t, await edit({ edited_at: '0770 SECRET' }), 'edited_at: not an instant')
  await dies(t, await edit({ note_text: true }), 'note_text: not a text')
  await dies(t, await edit({ is_read: 'SECRET' }), 'is_read: not a boolean')
  t.match(await bench.row('aligner_notes', note), { note_text: 'a note', is_read: false, edited_at: null })
})

t.test('the first and the last instant that datetime has', async (t) => {
  for (const wall of ['1753-01-01 00:00:00.000', '9999-12-31 23:59:59.997']) {
    const instant = openZone('Asia/Baghdad').toInstant(wall)
    const event = await bench.edit('aligner_notes', note, { edited_at: instant })
    t.equal(await bench.ruling(event), 'applied')
    t.match(await bench.row('aligner_notes', note), { edited_at: instant })
  }
})

t.test("the limit is the clinic's own column's, where it is narrower than the mapping says", async (t) => {
  // Babelfish leaves NOT NULL as it is, and lets nobody say so.
  const notNull = bench.babelfish ? '' : ' NOT NULL'
  const type = (length: string) =>
    bench.run(`ALTER TABLE dbo.tblAlignerNotes ALTER COLUMN NoteText nvarchar(${length})${notNull}`)
  await type('100')
  t.teardown(() => type('max'))
  const edit = (note_text: string) => bench.edit('aligner_notes', note, { note_text })
  await dies(t, await edit('x'.repeat(101)), 'note_text: longer than 100 characters')
  // UTF-16 units count (Babelfish's LEN counts characters), and trailing blanks too.
  await dies(t, await edit('🦷'.repeat(bench.babelfish ? 101 : 51)), 'note_text: longer than 100 characters')
  await dies(t, await edit(`${'x'.repeat(100)} `), 'note_text: longer than 100 characters')
  await dies(t, bench.born(set, { note_text: 'x'.repeat(101) }), 'note_text: longer than 100 characters')
  t.equal(await bench.ruling(await edit('🦷'.repeat(50))), 'applied')
})

t.test('one value that does not fit holds up none of the others, and a cured event goes through', async (t) => {
  const [good, bad] = [bench.born(set), bench.born(999)]
  const mistyped = bench.born(set, { note_text: 5 })
  const days = await bench.edit('aligner_batches', batch, { days: 9 })
  const outcomes = await bench.apply(bad, good, mistyped, days)
  t.strictSame(
    outcomes.map(({ outcome }) => outcome),
    ['dead', 'applied', 'dead', 'applied'],
  )
  t.strictSame(
    outcomes.map(({ key }) => key),
    [bad, good, mistyped, days].map(({ data }) => data.key),
  )
  const cured = bench.born(set, {}, { key: bad.data.key, version: bad.data.version, since: bad.data.since })
  t.equal(await bench.ruling(cured), 'applied', 'the same version')
})

t.test('tables that do not sync back', async (t) => {
  const { data } = bench.born(set)
  for (const table of ['aligner_sets', 'patients', 'invoices']) {
    const foreign = { ...bench.born(set), data: { ...data, table } } as SyncEvent
    t.match(await bench.ruling(foreign), /^dead SYNC_NOT_PORTALS: /)
    const changes = JSON.stringify([{ ...data, table }])
    const [outcome] = await bench.run(`EXEC sync.ApplyPortalChanges @Changes = N'${changes}'`)
    t.match(outcome, { Outcome: 'dead', Code: 'SYNC_NOT_PORTALS' }, 'the database judges it too')
  }
  t.strictSame(await bench.run("SELECT RecordID FROM sync.RowState WHERE TableName NOT LIKE 'aligner[_]%s'"), [])
})
