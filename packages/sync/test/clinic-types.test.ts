// What the rules take the clinic's columns for: when two values are one, and which ones a column cannot hold.
import { type Column, tableNamed } from '@clinic-sync/mapping'
import t from 'tap'
import { clinicTypes, ruleOnPortalEdit } from '../src/index.ts'

const notes = tableNamed('aligner_notes')
const sets = tableNamed('aligner_sets')
const work = tableNamed('work')

function column(table: typeof notes, name: string): Column {
  const found = table.columns.find((each) => each.name === name)
  if (found === undefined) throw new Error(name)
  return found
}

const { equal, refuse } = clinicTypes()

t.test('an instant is what its column stores of it', async (t) => {
  const edited = column(notes, 'edited_at')
  const at = (end: string) => `2026-01-12T23:59:59.${end}Z`
  for (const [a, b, same] of [
    // https://learn.microsoft.com/sql/t-sql/data-types/datetime-transact-sql, "Rounding of datetime fractional second precision"
    ['990', '991', true],
    ['992', '993', true],
    ['993', '994', true],
    ['995', '997', true],
    ['997', '998', true],
    ['991', '992', false],
    ['994', '995', false],
    ['998', '999', false],
  ] as const)
    t.equal(equal(edited, at(a), at(b)), same, `.${a} and .${b}`)
  t.ok(equal(edited, at('999'), '2026-01-13T00:00:00.000Z'), 'up to the next day')
  t.ok(equal(edited, '1899-12-31T10:00:00.001Z', '1899-12-31T10:00:00.000Z'), 'before 1970 too')
  t.ok(equal(edited, '2026-01-12 23:59:59.001', '2026-01-12T23:59:59.000'), 'wall clocks compare alike')
  const added = column(work, 'addition_date')
  t.ok(equal(added, '2026-01-12T10:00:00.400Z', '2026-01-12T10:00:00.000Z'), 'datetime2(0) has seconds')
  t.notOk(equal(added, '2026-01-12T10:00:00.500Z', '2026-01-12T10:00:00.000Z'), 'and rounds them')
  t.notOk(equal(edited, null, at('000')))
  t.ok(equal(edited, null, null))
})

t.test('texts are equal if their characters are, but for what the portal cannot store', async (t) => {
  const text = column(notes, 'note_text')
  t.notOk(equal(text, 'a', 'A'))
  t.notOk(equal(text, 'a', 'a '))
  t.notOk(equal(text, '', null))
  t.ok(equal(text, 'a\0b', 'ab'))
  t.ok(equal(text, 'tooth \ud83e', 'tooth \ufffd'), 'half an emoji')
  t.notOk(equal(text, '\u00e9', 'e\u0301'), 'not by meaning')
})

t.test('what a column cannot hold', async (t) => {
  t.equal(refuse(notes, column(notes, 'is_read'), null), 'must not be null')
  t.equal(refuse(notes, column(notes, 'is_edited'), null), null)
  t.equal(refuse(notes, column(notes, 'note_type'), 'x'.repeat(20)), null)
  t.equal(refuse(notes, column(notes, 'note_type'), 'x'.repeat(21)), 'longer than 20 characters')
  t.equal(refuse(sets, column(sets, 'notes'), '🦷'.repeat(128)), 'longer than 255 characters', 'in UTF-16 units')
  t.equal(refuse(notes, column(notes, 'note_text'), 'x'.repeat(100_000)), null)
  const edited = column(notes, 'edited_at')
  t.equal(refuse(notes, edited, '1752-12-31T23:59:59.000Z'), 'outside the years 1753 to 9999 of datetime')
  t.equal(refuse(notes, edited, '+010000-01-01T00:00:00.000Z'), 'outside the years 1753 to 9999 of datetime')
  t.equal(refuse(notes, edited, '1753-01-01T00:00:00.000Z'), null)
  t.equal(refuse(work, column(work, 'addition_date'), '1600-01-01T00:00:00.000Z'), null, 'datetime2 goes back further')
  t.match(refuse(work, column(work, 'addition_date'), '-000001-01-01T00:00:00.000Z'), /years 1 to 9999/)
  const alone = clinicTypes((table, key) => table === 'aligner_sets' && key === 1)
  t.equal(alone.refuse(notes, column(notes, 'aligner_set_id'), 1), null)
  t.equal(alone.refuse(notes, column(notes, 'aligner_set_id'), 999), 'the clinic has no aligner_sets 999')
})

t.test('a table that does not sync back', async (t) => {
  const record = { row: { person_id: 7 }, seen: 0n, reported: null }
  const edit = { version: 9n, since: 9n, base: null, row: { person_id: 7, patient_name: 'x' } }
  const ruling = ruleOnPortalEdit(tableNamed('patients'), 7, record, edit)
  t.match(ruling, { outcome: 'dead', code: 'SYNC_NOT_PORTALS', write: null, queue: null })
  t.equal(ruling.record, record)
})

t.test('reasons name table, key, column and limit, and never a value', async (t) => {
  const row = { note_id: -5, aligner_set_id: 999, note_type: 'Doctor', note_text: 'secret', is_read: false }
  const edit = { version: 9n, since: 9n, base: null, row }
  const unknown = { row: null, seen: 0n, reported: null }
  const reason = (over: object, has = true) =>
    ruleOnPortalEdit(
      notes,
      -5,
      unknown,
      { ...edit, row: { ...row, ...over } },
      clinicTypes(() => has),
    ).reason
  t.equal(reason({}, false), 'aligner_notes/-5: aligner_set_id: the clinic has no aligner_sets 999')
  t.equal(reason({ is_read: null }), 'aligner_notes/-5: is_read must not be null')
  t.equal(reason({ note_type: 'Lab' }), "aligner_notes/-5: note_type: only 'Doctor' notes come from the portal")
  const both = ruleOnPortalEdit(notes, 5, { ...unknown, row: { ...row, note_text: 'theirs' } }, edit)
  t.match(both, { outcome: 'conflict', reason: 'note_text: clinic-wins' })
  const gone = ruleOnPortalEdit(notes, 5, { ...unknown, seen: 1n }, edit)
  t.notMatch(gone.reason, /secret/)
})
