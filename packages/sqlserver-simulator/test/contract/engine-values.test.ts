// Values at the edges of their types: in by literal and by parameter, out as they were.
import sql from 'mssql'
import t from 'tap'
import { errorOf, openTarget, rows, treatment, value } from './target.ts'

const target = await openTarget(t)
const { pool } = target
t.beforeEach(() => target.reset())

/** Writes a literal into a column of the one set or patient, and reads it back as text of the given form. */
async function through(
  table: 'tblAlignerSets' | 'tblpatients' | 'tblAlignerNotes',
  column: string,
  literal: string,
  read: string,
) {
  await pool.request().batch(`UPDATE dbo.${table} SET ${column} = ${literal}`)
  return value(pool, `SELECT ${read} AS x FROM dbo.${table}`)
}

t.test('date, from 0001 to 9999', async (t) => {
  await treatment(pool)
  for (const date of [
    '0001-01-01',
    '1582-10-10',
    '1752-12-31',
    '1899-12-31',
    '1900-02-28',
    '2024-02-29',
    '9999-12-31',
  ]) {
    t.equal(await through('tblpatients', 'DateofBirth', `'${date}'`, 'CONVERT(varchar(10), DateofBirth, 23)'), date)
    const read = (await value(pool, 'SELECT DateofBirth FROM dbo.tblpatients')) as Date
    t.equal(read.toISOString().slice(0, 10), date)
  }
  await target.refused(t, rows(pool, "UPDATE dbo.tblpatients SET DateofBirth = '2023-02-29'"), 241)
})

t.test('datetime rounds to 1/300 s, from 1753 on', async (t) => {
  await treatment(pool)
  const cases = {
    '1753-01-01T00:00:00.000': '1753-01-01 00:00:00.000',
    '2026-01-31T08:15:30.001': '2026-01-31 08:15:30.000',
    '2026-01-31T08:15:30.002': '2026-01-31 08:15:30.003',
    '2026-01-31T08:15:30.005': '2026-01-31 08:15:30.007',
    '2026-01-31T08:15:30.008': '2026-01-31 08:15:30.007',
    '2026-12-31T23:59:59.999': '2027-01-01 00:00:00.000',
    '9999-12-31T23:59:59.997': '9999-12-31 23:59:59.997',
  }
  for (const [given, found] of Object.entries(cases))
    t.equal(
      await through('tblAlignerSets', 'PdfUploadedAt', `'${given}'`, 'CONVERT(varchar(30), PdfUploadedAt, 121)'),
      found,
    )
  await target.refused(t, rows(pool, "UPDATE dbo.tblAlignerSets SET PdfUploadedAt = '1752-12-31T00:00:00'"), 242)
})

t.test('datetime2(0) rounds', async (t) => {
  await treatment(pool)
  const read = 'CONVERT(varchar(30), DateAdded, 120)'
  t.equal(await through('tblpatients', 'DateAdded', "'2026-01-31 08:15:30.49'", read), '2026-01-31 08:15:30')
  t.equal(await through('tblpatients', 'DateAdded', "'2026-01-31 23:59:59.5'", read), '2026-02-01 00:00:00')
  t.equal(await through('tblpatients', 'DateAdded', "'0001-01-01 00:00:00'", read), '0001-01-01 00:00:00')
})

t.test('decimal(10,2) is exact, rounds half away from zero, and overflows', async (t) => {
  await treatment(pool)
  const read = 'CONVERT(varchar(40), SetCost)'
  const cases = {
    '99999999.99': '99999999.99',
    '-99999999.99': '-99999999.99',
    '0.005': '0.01',
    '-0.005': '-0.01',
    '1.004': '1.00',
    '0': '0.00',
    "'12.5'": '12.50',
  }
  for (const [literal, found] of Object.entries(cases))
    t.equal(await through('tblAlignerSets', 'SetCost', literal, read), found, literal)
  await target.refused(t, rows(pool, 'UPDATE dbo.tblAlignerSets SET SetCost = 100000000'), 8115)
  await target.refused(t, rows(pool, "UPDATE dbo.tblAlignerSets SET SetCost = 'abc'"), 8114)
})

t.test('decimals of 2^53 and beyond, sums of them', async (t) => {
  t.equal(
    await value(pool, "SELECT CONVERT(varchar(40), CAST('12345678901234567.89' AS decimal(19,2)) + 0.01) AS x"),
    '12345678901234567.90',
  )
  t.equal(
    await value(pool, 'SELECT CONVERT(varchar(40), CAST(9007199254740993 AS bigint) + 1) AS x'),
    '9007199254740994',
  )
  t.equal(await value(pool, 'SELECT CAST(9223372036854775807 AS bigint) AS x'), '9223372036854775807')
})

t.test('integers end where they end', async (t) => {
  await treatment(pool)
  t.equal(await through('tblAlignerSets', 'Days', '2147483647', 'Days'), 2147483647)
  t.equal(await through('tblAlignerSets', 'Days', '-2147483648', 'Days'), -2147483648)
  await target.refused(t, rows(pool, 'UPDATE dbo.tblAlignerSets SET Days = 2147483648'), 8115)
  await target.refused(t, rows(pool, 'UPDATE dbo.tblAlignerSets SET Days = Days * -2'), 8115)
  t.equal(await through('tblpatients', 'Language', '255', 'Language'), 255)
  await target.refused(t, rows(pool, 'UPDATE dbo.tblpatients SET Language = 256'), 220)
  await target.refused(t, rows(pool, "UPDATE dbo.tblAlignerSets SET Days = N'12x'"), 245)
})

t.test('texts: empty, blanks, any character', async (t) => {
  const { set } = await treatment(pool)
  await pool
    .request()
    .batch(`INSERT INTO dbo.tblAlignerNotes (AlignerSetID, NoteType, NoteText) VALUES (${set}, 'Lab', N'')`)
  for (const text of [
    '',
    ' ',
    'a  ',
    "it's",
    '"quoted"',
    'د. سامر',
    '🦷👍🏽',
    'line\r\nline\ttab',
    'x'.repeat(20_000),
    '🦷'.repeat(5000),
  ]) {
    await pool
      .request()
      .input('text', sql.NVarChar(sql.MAX), text)
      .query('UPDATE dbo.tblAlignerNotes SET NoteText = @text')
    t.ok((await value(pool, 'SELECT NoteText FROM dbo.tblAlignerNotes')) === text, JSON.stringify(text.slice(0, 20)))
  }
})

t.test('a text too long for its column is refused, but for trailing blanks', async (t) => {
  await treatment(pool)
  t.equal(await through('tblpatients', 'patientID', "N'123456'", 'patientID'), '123456')
  t.equal(await through('tblpatients', 'patientID', "N'12345     '", 'patientID'), '12345 ')
  t.ok([2628, 8152].includes((await errorOf(rows(pool, "UPDATE dbo.tblpatients SET patientID = N'1234567'"))) ?? 0))
  t.equal(await value(pool, "SELECT CAST(N'1234567' AS nvarchar(3)) AS x"), '123')
})

t.test('nchar is padded with blanks', async (t) => {
  await treatment(pool)
  t.equal(await through('tblpatients', 'Email', "N'a@b'", 'Email'), 'a@b'.padEnd(255))
  t.equal(await value(pool, "SELECT COUNT(*) AS n FROM dbo.tblpatients WHERE Email = N'A@B'"), 1)
})

t.test('parameters of every type', async (t) => {
  const at = new Date('2026-01-31T08:15:30.003Z')
  const found = await pool
    .request()
    .input('int', sql.Int, -5)
    .input('bigint', sql.BigInt, '9007199254740993')
    .input('small', sql.SmallInt, -3)
    .input('tiny', sql.TinyInt, 200)
    .input('bit', sql.Bit, true)
    .input('float', sql.Float, 1.5)
    .input('decimal', sql.Decimal(10, 2), 12.34)
    .input('text', sql.NVarChar(20), 'abc')
    .input('code', sql.VarChar(20), 'xyz')
    .input('bytes', sql.VarBinary(10), Buffer.from([1, 2, 255]))
    .input('date', sql.Date, at)
    .input('datetime', sql.DateTime, at)
    .input('datetime2', sql.DateTime2(3), at)
    .input('none', sql.Int, null)
    .input('nothing', sql.NVarChar(sql.MAX), null)
    .query(`SELECT @int AS a, @bigint AS b, @small AS c, @tiny AS d, @bit AS e, @float AS f, @decimal AS g, @text AS h, @code AS i,
      @bytes AS j, @date AS k, @datetime AS l, @datetime2 AS m, @none AS n, @nothing AS o`)
  t.strictSame(
    { ...found.recordset[0] },
    {
      a: -5,
      b: '9007199254740993',
      c: -3,
      d: 200,
      e: true,
      f: 1.5,
      g: 12.34,
      h: 'abc',
      i: 'xyz',
      j: Buffer.from([1, 2, 255]),
      k: new Date('2026-01-31T00:00:00Z'),
      l: at,
      m: at,
      n: null,
      o: null,
    },
  )
})

t.test('computed columns', async (t) => {
  const { set } = await treatment(pool)
  await pool.request()
    .batch(`INSERT INTO dbo.tblAlignerBatches (AlignerSetID, BatchSequence, UpperAlignerCount, LowerAlignerCount,
    UpperAlignerStartSequence, LowerAlignerStartSequence, Days, HasUpperTemplate, DeliveredToPatientDate) VALUES
    (${set}, 1, 5, 4, 3, 1, 10, 1, '2026-01-01'), (${set}, 2, 0, 0, 3, NULL, 10, 1, '2026-01-01'), (${set}, 3, 1, 3, 3, 2, NULL, 0, NULL)`)
  const found = await rows(
    pool,
    'SELECT UpperAlignerEndSequence AS u, LowerAlignerEndSequence AS l, ValidityPeriod AS v, CONVERT(varchar(10), BatchExpiryDate, 23) AS e FROM dbo.tblAlignerBatches ORDER BY BatchSequence',
  )
  t.strictSame(
    found.map((row) => ({ ...row })),
    [
      { u: 7, l: 4, v: 40, e: '2026-02-10' },
      { u: null, l: null, v: 0, e: '2026-01-01' },
      { u: 3, l: 4, v: null, e: null },
    ],
  )
})

t.test('the view of payments', async (t) => {
  const { set, work } = await treatment(pool)
  const status = async () => {
    const [row] = await rows(
      pool,
      'SELECT CONVERT(varchar(20), TotalPaid) AS paid, CONVERT(varchar(20), Balance) AS balance, PaymentStatus AS status FROM dbo.vw_AlignerSetPayments',
    )
    return { ...row }
  }
  t.strictSame(await status(), { paid: '0.00', balance: null, status: 'No Cost Set' })
  await pool.request().batch(`UPDATE dbo.tblAlignerSets SET SetCost = 100.50 WHERE AlignerSetID = ${set}`)
  t.strictSame(await status(), { paid: '0.00', balance: '100.50', status: 'Unpaid' })
  await pool
    .request()
    .batch(`INSERT INTO dbo.tblInvoice (workid, AlignerSetID, Amountpaid) VALUES (${work}, ${set}, 60)`)
  t.strictSame(await status(), { paid: '60.00', balance: '40.50', status: 'Partial' })
  await pool
    .request()
    .batch(`INSERT INTO dbo.tblInvoice (workid, AlignerSetID, Amountpaid) VALUES (${work}, ${set}, 41)`)
  t.strictSame(await status(), { paid: '101.00', balance: '-0.50', status: 'Paid' })
})
