import { appendFile } from 'node:fs/promises'
import { join } from 'node:path'
import { openScriptConnection } from '@clinic-sync/clinic'
import { testClinic } from '@clinic-sync/dev-services/testing'
import t from 'tap'
import { createDatabase } from '../../sqlserver-simulator/test/contract/real-engine.ts'
import { migrate } from '../src/migrate/index.ts'
import { freshClinic } from './support/migrating.ts'

const FIRST = '01_sync_schema.sql'

t.test('a clinic gets every file once, each is recorded, twice is nothing', async (t) => {
  const { lines, run, recorded, files } = await freshClinic(t)
  const { applied, leftOut } = await run()
  t.same([...applied, ...leftOut].sort(), files)
  t.same(await recorded(), applied)
  const about = (name: string) =>
    lines.filter((line) => line.startsWith(`clinic: ${name} `) && !line.includes(' says: '))
  t.same(
    files.map((name) => about(name).length),
    files.map(() => 1),
    'one line a file',
  )
  lines.length = 0
  t.same(await run(), { applied: [], skipped: applied, leftOut })
  t.ok(lines.includes(`clinic: up to date (${applied.length} files)`))
})

t.test('a dry run says what it would do and does nothing', async (t) => {
  const { lines, run, recorded, files } = await freshClinic(t)
  const { applied, leftOut } = await run({ dryRun: true })
  t.same([...applied, ...leftOut].sort(), files)
  for (const file of applied) t.ok(lines.includes(`clinic: ${file} would be applied`), file)
  t.notMatch(lines.join('\n'), /sync -- doorbell/, 'there is nothing yet to switch on')
  await t.rejects(recorded())
})

t.test('a file that was edited after it was applied is refused, and nothing is done', async (t) => {
  const { folder, run, recorded, write } = await freshClinic(t, { only: [FIRST] })
  await run()
  await appendFile(join(folder, FIRST), '\n-- an afterthought\n')
  await write('99_new.sql', 'SELECT 1\nGO\n')
  await t.rejects(run(), { code: 'SYNC_MIGRATION_EDITED', message: new RegExp(`${FIRST} was changed after`) })
  t.same(await recorded(), [FIRST])
})

t.test('a failure names file, batch and line, and the next run begins with that file', async (t) => {
  const { run, recorded, write } = await freshClinic(t, { only: [FIRST] })
  await write('98_broken.sql', 'SELECT 1\nGO\n-- two\nSELECT 2\nGO\n\nSELECT * FROM dbo.NoSuchTable\nGO\n')
  await write('99_new.sql', 'SELECT 1\n')
  await t.rejects(run(), {
    code: 'SYNC_MIGRATION_FAILED',
    message: /98_broken\.sql, batch 3, line [67]: .*NoSuchTable/i,
  })
  t.same(await recorded(), [FIRST])
  await write('98_broken.sql', 'SELECT 1\nGO\n')
  t.same((await run()).applied, ['98_broken.sql', '99_new.sql'])
})

t.test('what a Windows editor does to a file is no edit, and no T-SQL', async (t) => {
  const { run, write } = await freshClinic(t, { only: [FIRST] })
  await write('98_new.sql', "-- new\nSELECT 'a\nb'\nGO -- and then\nSELECT 2\nGO 0\nSELECT 3\nGO\n")
  await run()
  await write(
    '98_new.sql',
    "\uFEFF-- new\r\nSELECT 'a\r\nb'\r\nGO -- and then\r\nSELECT 2\r\nGO 0\r\nSELECT 3\r\nGO\r\n",
  )
  await write('99_marked.sql', '\uFEFFSELECT 1\r\nGO\r\nSELECT 2\r\n')
  t.same((await run()).applied, ['99_marked.sql'])
})

t.test('a file that leaves a transaction open is refused: its end would take back what it did', async (t) => {
  const { run, recorded, write, query } = await freshClinic(t, { only: [FIRST] })
  await write('98_open.sql', "BEGIN TRANSACTION\nGO\nINSERT INTO sync.Settings (Name, Value) VALUES (N'x', N'y')\nGO\n")
  await t.rejects(run(), { code: 'SYNC_MIGRATION_FAILED', message: /98_open\.sql.*left a transaction open/ })
  t.same(await recorded(), [FIRST])
  t.same(await query("SELECT Name FROM sync.Settings WHERE Name = N'x'"), [])
})

t.test('a clinic that cannot be reached is said so', async (t) => {
  await t.rejects(migrate({ side: 'clinic', url: 'mssql://nobody:nothing@127.0.0.1:1/clinic?encrypt=false' }), {
    code: 'SYNC_DATABASE_DOWN',
  })
})

t.test('a connection that is lost ends it: nothing more is run on another one, without the lock', async (t) => {
  const simulator = await testClinic(t, { migrated: false })
  const clinic = { url: simulator.url, real: false, babelfish: false }
  const { run, recorded, write, lines } = await freshClinic(t, { only: [FIRST], clinic })
  await write('98_new.sql', 'SELECT 1\nGO\n')
  // Between two files: the driver's pool would quietly connect again.
  const cut = run({
    onLine: (line) => {
      lines.push(line)
      if (line.includes(FIRST)) simulator.dropConnections()
    },
  })
  await t.rejects(cut, { code: 'SYNC_DATABASE_DOWN', message: /98_new\.sql/ })
  t.same(await recorded(), [FIRST])

  // In the middle of a batch, which waits for somebody's open transaction.
  const other = openScriptConnection(simulator.url)
  t.teardown(() => other.close())
  await other.batch('BEGIN TRANSACTION')
  await other.batch("INSERT INTO sync.Settings (Name, Value) VALUES (N'x', N'y')")
  await write('98_new.sql', "SELECT 1\nGO\nSELECT 2\nUPDATE sync.Settings SET Value = Name WHERE Name = N'x'\nGO\n")
  const waiting = run()
  waiting.catch(() => undefined)
  while (!simulator.statements().some(({ text }) => text.includes('SET Value = Name')))
    await new Promise((resolve) => setImmediate(resolve))
  simulator.dropConnections()
  await t.rejects(waiting, { code: 'SYNC_DATABASE_DOWN', message: /98_new\.sql, batch 2, line 3/ })
  t.same((await run()).applied, ['98_new.sql'])
})

// What only an engine has; the simulator has neither application locks nor messages.
const server = process.env.SQLSERVER_URL
if (server) {
  t.test('a database that is not the clinic is said so, and nothing is made in it', async (t) => {
    const { url, babelfish, stop } = await createDatabase(server)
    t.teardown(stop)
    const { run, recorded } = await freshClinic(t, { clinic: { url, babelfish, real: true } })
    const message = /^The clinic has no table dbo\.AlignerDoctors, .*: is this its database\?$/
    await t.rejects(run({ dryRun: true }), { code: 'SYNC_MIGRATION_FAILED', message })
    await t.rejects(run(), { code: 'SYNC_MIGRATION_FAILED', message })
    await t.rejects(recorded())
  })

  t.test('two at once wait for each other', async (t) => {
    const { run, recorded, write } = await freshClinic(t, { only: [FIRST] })
    for (const n of [2, 3, 4]) await write(`0${n}_new.sql`, `CREATE TABLE dbo.Made${n} (ID int NOT NULL)\nGO\n`)
    const both = await Promise.all([run(), run()])
    t.same(both.flatMap(({ applied }) => applied).sort(), await recorded())
  })

  t.test('one that never ends is not waited for for ever', async (t) => {
    const { run, url } = await freshClinic(t, { only: [FIRST] })
    const other = openScriptConnection(url)
    t.teardown(() => other.close())
    await other.batch("EXEC sp_getapplock N'clinic-sync migrate', N'Exclusive', N'Session', 0")
    const failure = { code: 'SYNC_MIGRATION_FAILED', message: /^Another migration of this clinic has been running for/ }
    await t.rejects(run({ patience: 50 }), failure)
  })

  t.test('what a file prints is told, and a message is no error', async (t) => {
    const { run, write, lines } = await freshClinic(t, { only: [FIRST] })
    await write('98_talks.sql', "PRINT N'mind this'\nGO\nRAISERROR (N'and that', 10, 1)\nGO\nSELECT 1\nGO\n")
    t.ok((await run()).applied.includes('98_talks.sql'))
    t.ok(lines.includes('clinic: 98_talks.sql says: mind this'))
  })

  t.test('a file that leaves NOEXEC on without an error is not taken for applied', async (t) => {
    const { run, recorded, write, babelfish } = await freshClinic(t, { only: [FIRST] })
    await write('98_noexec.sql', 'SET NOEXEC ON\nGO\nCREATE TABLE dbo.NeverMade (ID int NOT NULL)\nGO\n')
    // Babelfish goes on running.
    if (babelfish) return t.ok((await run()).applied.includes('98_noexec.sql'))
    await t.rejects(run(), { code: 'SYNC_MIGRATION_FAILED', message: /98_noexec\.sql has left SET NOEXEC ON/ })
    t.same(await recorded(), [FIRST])
  })
}
