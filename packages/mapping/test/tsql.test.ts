import t from 'tap'
import { date, decimal, int, table, text } from '../src/define.ts'
import { tableNamed } from '../src/index.ts'
import { captureTriggers, watchedTables } from '../src/tsql/capture.ts'
import { clinicFiles } from '../src/tsql/index.ts'
import { comparedColumns, rowAsJson } from '../src/tsql/row.ts'
import { broughtBy, inScope } from '../src/tsql/scope.ts'
import { literal, name } from '../src/tsql/text.ts'

t.test('names and literals are quoted', async (t) => {
  t.equal(name('a]b'), '[a]]b]')
  t.equal(literal("it's"), "N'it''s'")
})

t.test('texts are compared as bytes, all else as it is', async (t) => {
  const columns = [text('a', 'A', 10), text('b', 'B', 'max'), int('c', 'C'), date('d', 'D')]
  t.equal(comparedColumns('i', columns), 'CAST(i.[A] AS varbinary(max)), CAST(i.[B] AS varbinary(max)), i.[C], i.[D]')
})

t.test('a row holds the key and every column under its portal name', async (t) => {
  const example = table('patients', { clinic: 'X', key: int('id', 'ID'), columns: [text('name', 'Na]me', 5)] })
  t.match(rowAsJson(example), /t\.\[ID\] AS \[id\],\s+t\.\[Na\]\]me\] AS \[name\]/)
})

t.test('what JSON would round goes as digits, also types that no table has yet', async (t) => {
  const long = { ...int('long', 'Long'), type: 'bigint' as const, clinicType: 'bigint', portalType: 'bigint' }
  const example = table('patients', { clinic: 'X', key: int('id', 'ID'), columns: [long, decimal('d', 'D', 38, 10)] })
  t.match(
    rowAsJson(example),
    /CONVERT\(varchar\(40\), t\.\[Long\]\) AS \[long\],\s+CONVERT\(varchar\(40\), t\.\[D\]\) AS \[d\]/,
  )
})

t.test('scope follows references through the tables between', async (t) => {
  t.equal(inScope(tableNamed('aligner_notes'), 't'), null)
  t.match(
    inScope(tableNamed('patients'), 't'),
    /tblwork.*\[PersonID\] = t\.\[PersonID\][\s\S]*tblAlignerSets.*\[WorkID\]/,
  )
  t.match(inScope(tableNamed('aligner_set_payments'), 't'), /<> N'No Cost Set'/)
})

t.test('a set brings its patient and its work, in that order; a note brings nothing', async (t) => {
  t.strictSame(
    broughtBy(tableNamed('aligner_sets')).map(({ table }) => table.name),
    ['patients', 'work'],
  )
  t.strictSame(broughtBy(tableNamed('aligner_notes')), [])
})

t.test('every table that a record is read or computed from is watched', async (t) => {
  t.strictSame(
    watchedTables().map(({ clinicTable }) => clinicTable),
    [
      'AlignerDoctors',
      'tblpatients',
      'tblwork',
      'tblAlignerSets',
      'tblAlignerBatches',
      'tblAlignerNotes',
      'tblInvoice',
    ],
  )
})

t.test(
  'the capture triggers are ASCII, whatever code page an editor saves them in, and each has a checksum',
  async (t) => {
    const capture = clinicFiles().find(({ path }) => path.endsWith('02_sync_capture.sql'))?.content ?? ''
    t.match(capture, /^[\n\x20-\x7e]*$/)
    const found = captureTriggers()
    t.strictSame(
      found.map(({ table }) => table),
      watchedTables().map(({ clinicTable }) => clinicTable),
    )
    t.equal(new Set(found.map(({ checksum }) => checksum)).size, found.length)
    for (const { trigger, checksum } of found) {
      t.match(checksum, /^[0-9a-f]{64}$/)
      t.ok(capture.includes(`CREATE TRIGGER dbo.[${trigger}]`))
    }
  },
)
