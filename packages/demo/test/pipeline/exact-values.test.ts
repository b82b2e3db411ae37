import t from 'tap'
import { compareSides } from '../../src/compare.ts'
import { addCase, startPipeline } from './pipeline.ts'

/** What is written into the clinic (a T-SQL literal), and what must then stand in the portal (as Postgres prints it). */
interface Edge {
  readonly clinic: string
  readonly portal: string | null
}
const same = (text: string): Edge => ({ clinic: `N'${text.replaceAll("'", "''")}'`, portal: text })

const TEXTS: readonly Edge[] = [
  { clinic: 'NULL', portal: null },
  same(''),
  same(' '),
  same('trailing blanks   '),
  same('UPPER'),
  same('upper'),
  same('quote \' and " and \\ and \\n and $$ and ; --'),
  same('line\r\nbreaks\tand tabs'),
  same('حالة المريض: ممتازة'),
  same('👩🏽‍⚕️ 🦷 𝕊𝕦𝕣𝕣𝕠𝕘𝕒𝕥𝕖'),
  same('\u202Eright to left\u202C'),
  { clinic: "N'zero' + NCHAR(0) + N'byte'", portal: 'zerobyte' },
]
const DATES: readonly Edge[] = [
  { clinic: 'NULL', portal: null },
  ...['0001-01-01', '1582-10-10', '1753-01-01', '1899-12-31', '1900-01-01', '2024-02-29', '9999-12-31'].map(same),
]
/** The clinic's wall clock (UTC+3 since 1990) against the instant in UTC. */
const DATETIMES: readonly Edge[] = [
  { clinic: 'NULL', portal: null },
  // Baghdad's own mean time: UTC+2:57:40 until 1890, UTC+2:57:36 until 1918.
  { clinic: "'1753-01-01T00:00:00'", portal: '1752-12-31 21:02:20.000' },
  { clinic: "'1899-12-31T23:59:59.997'", portal: '1899-12-31 21:02:23.997' },
  // What datetime rounds to 1/300 s.
  { clinic: "'2026-03-01T10:00:00.001'", portal: '2026-03-01 07:00:00.000' },
  { clinic: "'2026-03-01T10:00:00.005'", portal: '2026-03-01 07:00:00.007' },
  { clinic: "'2026-03-01T10:00:59.999'", portal: '2026-03-01 07:01:00.000' },
  { clinic: "'2026-03-01T10:00:00.003'", portal: '2026-03-01 07:00:00.003' },
  { clinic: "'2026-03-01T10:00:00.007'", portal: '2026-03-01 07:00:00.007' },
  { clinic: "'2026-03-01T00:30:00.997'", portal: '2026-02-28 21:30:00.997' },
  { clinic: "'9999-12-31T23:59:59.997'", portal: '9999-12-31 20:59:59.997' },
]
const DECIMALS: readonly Edge[] = [
  { clinic: 'NULL', portal: null },
  ...['0.00', '0.01', '-0.01', '12.50', '99999999.99', '-99999999.99', '1234567.89'].map((text) => ({
    clinic: text,
    portal: text,
  })),
]
const INTEGERS: readonly Edge[] = ['0', '-1', '2147483647', '-2147483648'].map((text) => ({
  clinic: text,
  portal: text,
}))
const BITS: readonly Edge[] = [
  { clinic: 'NULL', portal: null },
  { clinic: '0', portal: 'false' },
  { clinic: '1', portal: 'true' },
]

const SETS: readonly { readonly column: string; readonly select: string; readonly edges: readonly Edge[] }[] = [
  { column: 'FolderPath', select: 'folder_path', edges: TEXTS },
  { column: 'CreationDate', select: 'creation_date::text', edges: DATES },
  {
    column: 'PdfUploadedAt',
    select: `to_char(pdf_uploaded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS')`,
    edges: DATETIMES,
  },
  { column: 'SetCost', select: 'set_cost::text', edges: DECIMALS },
  { column: 'Days', select: 'days::text', edges: INTEGERS },
  { column: 'IsActive', select: 'is_active::text', edges: BITS },
]

t.test('every type arrives exactly, at its edges', async (t) => {
  const pipeline = await startPipeline(t)
  const { clinic, portal } = pipeline
  const run = (sql: string) => clinic.request().query(sql)
  await addCase(clinic, 1)
  const expected = new Map<number, { select: string; edge: Edge }>()
  let key = 1_000
  for (const { column, select, edges } of SETS) {
    for (const edge of edges) {
      key++
      await clinic.request().batch(`SET IDENTITY_INSERT dbo.tblAlignerSets ON;
        INSERT INTO dbo.tblAlignerSets (AlignerSetID, WorkID, SetSequence, AlignerDrID, ${column}) VALUES (${key}, 1, ${key}, 1, ${edge.clinic});
        SET IDENTITY_INSERT dbo.tblAlignerSets OFF`)
      expected.set(key, { select, edge })
    }
  }
  await run(`UPDATE dbo.tblwork SET AdditionDate = '1899-12-31T23:59:59' WHERE workid = 1`)
  const long = '😀 ملاحظة طويلة '.repeat(140_000)
  await clinic
    .request()
    .input('text', long)
    .query(
      `INSERT INTO dbo.tblAlignerNotes (AlignerSetID, NoteType, NoteText, CreatedAt, IsRead) VALUES (1, 'Doctor', @text, '2026-01-01T12:00:00', 1)`,
    )
  await pipeline.settled()

  for (const [id, { select, edge }] of expected) {
    const { rows } = await portal.query(`SELECT ${select} AS value FROM aligner_sets WHERE aligner_set_id = $1`, [id])
    t.equal(rows[0]?.value, edge.portal, `${select} from ${edge.clinic}`)
  }
  const work = await portal.query(`SELECT (addition_date AT TIME ZONE 'UTC')::text AS value FROM work`)
  t.equal(work.rows[0]?.value, '1899-12-31 21:02:23', 'datetime2(0) before 1900')
  const note = await portal.query('SELECT note_text, octet_length(note_text) AS bytes FROM aligner_notes')
  t.ok(note.rows[0]?.note_text === long, `a note of ${note.rows[0]?.bytes} bytes`)
  t.ok(note.rows[0]?.bytes > 2_000_000, 'is one of more than 2 MB')

  // A change that SQL Server's = does not see is a change all the same.
  await run(`UPDATE dbo.tblAlignerSets SET Notes = N'case' WHERE AlignerSetID = 1`)
  await pipeline.settled()
  for (const text of ['CASE', 'CASE ', '']) {
    await run(`UPDATE dbo.tblAlignerSets SET Notes = N'${text}' WHERE AlignerSetID = 1`)
    await pipeline.settled()
    const { rows } = await portal.query('SELECT notes FROM aligner_sets WHERE aligner_set_id = 1')
    t.equal(rows[0]?.notes, text, `notes ${JSON.stringify(text)}`)
  }

  for (const comparison of await compareSides(pipeline.sides.clinic, pipeline.sides.portal)) {
    t.same(comparison.differences, [], `${comparison.table}: ${comparison.clinicRows} rows are equal`)
  }
})
