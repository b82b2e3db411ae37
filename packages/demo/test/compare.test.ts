import type { Row } from '@clinic-sync/contracts'
import { allColumns, type TableName, tableNamed, tables } from '@clinic-sync/mapping'
import t from 'tap'
import { compareSides, type Readable } from '../src/compare.ts'

type Side = Map<TableName, Map<number, Row>>

/** Every table with rows of keys -1, 0, 1 … `rows`, all columns present. */
function side(rows: number): Side {
  return new Map(
    tables.map((table) => [
      table.name,
      new Map(
        Array.from({ length: rows }, (_, i) => [
          i - 1,
          Object.fromEntries(allColumns(table).map((column) => [column.name, column === table.key ? i - 1 : 'x'])),
        ]),
      ),
    ]),
  )
}

const readable = (data: Side): Readable => ({
  async readRows(table, after, max) {
    const keys = [...(data.get(table)?.keys() ?? [])].sort((a, b) => a - b)
    return keys
      .filter((key) => after === null || key > after)
      .slice(0, max)
      .map((key) => ({ key, row: data.get(table)?.get(key) ?? {} }))
  },
})

const differences = async (clinic: Side, portal: Side) =>
  (await compareSides(readable(clinic), readable(portal))).flatMap((table) => table.differences)

t.test('equal sides have no differences, and every value is counted, over several pages', async (t) => {
  const [first] = await compareSides(readable(side(2_500)), readable(side(2_500)))
  t.match(first, { table: 'aligner_doctors', clinicRows: 2_500, portalRows: 2_500, values: 10_000, differences: [] })
  t.same(await differences(side(0), side(0)), [])
})

t.test('planted differences are found, each with its kind', async (t) => {
  const clinic = side(6)
  const portal = side(6)
  portal.get('patients')?.delete(2)
  clinic.get('work')?.delete(4)
  clinic.get('aligner_notes')?.delete(-1)
  const note = portal.get('aligner_notes')?.get(3) ?? {}
  note.note_text = 'x '
  note.is_read = null
  const batch = portal.get('aligner_batches')?.get(0) ?? {}
  delete batch.notes
  t.same(await differences(clinic, portal), [
    { table: 'patients', key: 2, kind: 'missing in the portal' },
    { table: 'work', key: 4, kind: 'in the portal only' },
    { table: 'aligner_batches', key: 0, kind: 'different', columns: ['notes'] },
    { table: 'aligner_notes', key: -1, kind: 'in the portal only' },
    { table: 'aligner_notes', key: 3, kind: 'different', columns: ['note_text', 'is_read'] },
  ])
})

t.test("'' and null, case, trailing blanks and normalisation differ; U+0000 alone does not", async (t) => {
  const pairs: [Row[string], Row[string], boolean][] = [
    ['', null, false],
    ['A', 'a', false],
    ['a', 'a ', false],
    ['\u00e9', 'e\u0301', false],
    ['1.50', '1.5', false],
    [1, '1', false],
    [true, 1, false],
    ['a\u0000b\u0000', 'ab', true],
    ['\u0000', '', true],
    ['\u0000', null, false],
  ]
  for (const [a, b, same] of pairs) {
    const clinic = side(1)
    const portal = side(1)
    const row = clinic.get('aligner_doctors')?.get(-1) ?? {}
    const other = portal.get('aligner_doctors')?.get(-1) ?? {}
    row.logo_path = a
    other.logo_path = b
    t.equal((await differences(clinic, portal)).length, same ? 0 : 1, JSON.stringify([a, b]))
  }
  t.ok(tableNamed('aligner_doctors'))
})
