import t from 'tap'
import { sampleClinic } from '../src/sample-clinic.ts'

const tables = new Map(sampleClinic().map((table) => [table.name, table]))
const rows = (name: string) => tables.get(name)?.rows ?? []
const values = (name: string, column: string) => rows(name).map((row) => row[column])

t.test('the same seed gives the same clinic, another seed another', async (t) => {
  t.equal(JSON.stringify(sampleClinic()), JSON.stringify(sampleClinic()))
  t.not(JSON.stringify(sampleClinic(1)), JSON.stringify(sampleClinic(2)))
})

t.test('it has the size of a clinic, and patients outside the scope', async (t) => {
  const least = {
    AlignerDoctors: 12,
    tblpatients: 300,
    tblwork: 300,
    tblAlignerSets: 120,
    tblAlignerBatches: 500,
    tblAlignerNotes: 800,
    tblInvoice: 100,
  }
  for (const [name, count] of Object.entries(least)) t.ok(rows(name).length >= count, name)
  const works = new Set(values('tblAlignerSets', 'WorkID'))
  const inScope = new Set(rows('tblwork').flatMap((work) => (works.has(work.workid) ? [work.PersonID] : [])))
  t.ok(inScope.size > 60 && inScope.size < rows('tblpatients').length / 2)
})

t.test('keys are unique, references lead somewhere, unique columns are unique', async (t) => {
  for (const table of tables.values())
    t.equal(new Set(values(table.name, table.key)).size, table.rows.length, table.name)
  const references = [
    ['tblwork', 'PersonID', 'tblpatients'],
    ['tblAlignerSets', 'WorkID', 'tblwork'],
    ['tblAlignerSets', 'AlignerDrID', 'AlignerDoctors'],
    ['tblAlignerBatches', 'AlignerSetID', 'tblAlignerSets'],
    ['tblAlignerNotes', 'AlignerSetID', 'tblAlignerSets'],
    ['tblInvoice', 'AlignerSetID', 'tblAlignerSets'],
    ['tblInvoice', 'workid', 'tblwork'],
  ] as const
  for (const [table, column, parent] of references) {
    const keys = new Set(values(parent, tables.get(parent)?.key ?? ''))
    const lost = values(table, column).filter((value) => value !== null && !keys.has(value))
    t.same(lost, [], `${table}.${column}`)
  }
  const emails = values('AlignerDoctors', 'DoctorEmail').filter((email) => email !== null)
  t.equal(new Set(emails).size, emails.length)
  const pair = (table: string, ...columns: string[]) => rows(table).map((row) => columns.map((c) => row[c]).join('/'))
  t.equal(new Set(pair('tblAlignerSets', 'WorkID', 'SetSequence')).size, rows('tblAlignerSets').length)
  t.equal(new Set(pair('tblAlignerBatches', 'AlignerSetID', 'BatchSequence')).size, rows('tblAlignerBatches').length)
})

t.test('texts fit their columns, and hold what is difficult', async (t) => {
  const limits: Record<string, number> = { patientID: 6, PatientName: 255, Notes: 255, DoctorName: 100, SetUrl: 2000 }
  for (const table of tables.values())
    for (const row of table.rows)
      for (const [column, limit] of Object.entries(limits)) {
        const value = row[column]
        if (typeof value === 'string' && value.length > limit) t.fail(`${table.name}.${column}`)
      }
  const notes = values('tblAlignerNotes', 'NoteText').map(String)
  t.equal(notes.filter((text) => text.includes('\u0000')).length, 1, 'U+0000 in one note')
  t.ok(notes.some((text) => text.length >= 10_000))
  t.ok(notes.some((text) => text.includes('😬')) && notes.some((text) => text.endsWith('  ')) && notes.includes(''))
  for (const column of ['Phone', 'FirstName', 'LastName', 'patientID'])
    t.ok(values('tblpatients', column).includes(null), `${column} is null somewhere`)
})

t.test('payments cover every status', async (t) => {
  const paid = new Map<unknown, number>()
  for (const row of rows('tblInvoice'))
    paid.set(row.AlignerSetID, (paid.get(row.AlignerSetID) ?? 0) + Number(row.Amountpaid))
  const statuses = rows('tblAlignerSets').map((set) => {
    const total = paid.get(set.AlignerSetID) ?? 0
    if (set.SetCost === null) return 'No Cost Set'
    return total === 0 ? 'Unpaid' : total < Number(set.SetCost) ? 'Partial' : 'Paid'
  })
  t.same([...new Set(statuses)].sort(), ['No Cost Set', 'Paid', 'Partial', 'Unpaid'])
  t.same([...new Set(values('tblAlignerSets', 'Currency'))].sort(), ['IQD', 'USD', null].sort())
})
