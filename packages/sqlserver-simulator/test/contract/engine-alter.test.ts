// ALTER TABLE, as far as it is there: CHECK constraints, and the length of a text.
import t from 'tap'
import { openTarget, rows } from './target.ts'

const target = await openTarget(t)
const { pool } = target
const run = (text: string) => pool.request().batch(text)
const names = async () =>
  (await rows(pool, 'SELECT DoctorName FROM dbo.AlignerDoctors ORDER BY DrID')).map((r) => r.DoctorName)
const insert = (name: string) => run(`INSERT INTO dbo.AlignerDoctors (DoctorName) VALUES (${name})`)

t.test('a CHECK refuses what makes it false, and takes what is unknown', async (t) => {
  await insert("N'Dr. Sara'")
  const add =
    "ALTER TABLE dbo.AlignerDoctors ADD CONSTRAINT CK_test CHECK (DoctorEmail LIKE N'%@%' AND LEN(DoctorName) > 2)"
  await run("UPDATE dbo.AlignerDoctors SET DoctorEmail = N'x'")
  await target.refused(t, run(add), 547)
  await run('UPDATE dbo.AlignerDoctors SET DoctorEmail = NULL')
  await run(add)
  await insert("N'Dr. Ali'")
  await target.refused(t, insert("N'Dr'"), 547)
  await target.refused(t, run("UPDATE dbo.AlignerDoctors SET DoctorEmail = N'x'"), 547)
  t.strictSame(await names(), ['Dr. Sara', 'Dr. Ali'])
  await run('ALTER TABLE dbo.AlignerDoctors DROP CONSTRAINT CK_test')
  await insert("N'Dr'")
  await target.refused(t, run('ALTER TABLE dbo.AlignerDoctors DROP CONSTRAINT CK_test'), 3728)
})

t.test('a text column gets another length', async (t) => {
  await target.reset()
  const length = (n: number) => run(`ALTER TABLE dbo.AlignerDoctors ALTER COLUMN LogoPath nvarchar(${n})`)
  await insert("N'Dr. Sara'")
  await run("UPDATE dbo.AlignerDoctors SET LogoPath = N'12345'")
  await target.refused(t, length(4), 2628)
  await length(5)
  await target.refused(t, run("UPDATE dbo.AlignerDoctors SET LogoPath = N'123456'"), 2628)
  await length(6)
  await run("UPDATE dbo.AlignerDoctors SET LogoPath = N'123456'")
})

t.test('undone with its transaction', async (t) => {
  await target.reset()
  const session = await target.session()
  await session.request().batch('BEGIN TRANSACTION')
  await session.request().batch('ALTER TABLE dbo.AlignerDoctors ADD CONSTRAINT CK_gone CHECK (LEN(DoctorName) > 2)')
  await session.request().batch('ROLLBACK TRANSACTION')
  await insert("N'Dr'")
  t.strictSame(await names(), ['Dr'])
})
