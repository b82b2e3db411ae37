import { appendFile, cp, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openScriptConnection } from '@clinic-sync/clinic'
import { testClinic } from '@clinic-sync/dev-services/testing'
import t, { type Test } from 'tap'
import { migrate, type MigrateOptions } from '../src/migrate/index.ts'

const MIGRATIONS = fileURLToPath(new URL('../../../migrations/sqlserver', import.meta.url))

/** A clinic of its own without the sync, and a copy of the migrations that may be spoilt. */
async function fresh(t: Test) {
  const { url } = await testClinic(t, { migrated: false })
  const folder = await mkdtemp(join(tmpdir(), 'clinic-sync-migrate-'))
  t.teardown(() => rm(folder, { recursive: true }))
  await cp(MIGRATIONS, folder, { recursive: true })
  const lines: string[] = []
  const run = (options: Partial<MigrateOptions> = {}) =>
    migrate({ side: 'clinic', url, folder, onLine: (line) => lines.push(line), ...options })
  const recorded = async () => {
    const connection = openScriptConnection(url)
    try {
      const rows = await connection.batch('SELECT Name FROM sync.Migrations')
      return rows.map((row) => row.Name).sort()
    } finally {
      await connection.close()
    }
  }
  return {
    url,
    folder,
    lines,
    run,
    recorded,
    files: (await readdir(folder)).filter((name) => name.endsWith('.sql')).sort(),
  }
}

t.test('a clinic gets every file once, each is recorded, twice is nothing', async (t) => {
  const { lines, run, recorded, files } = await fresh(t)
  t.same((await run()).applied, files)
  t.same(await recorded(), files)
  t.equal(lines.length, files.length, 'one line a file')
  lines.length = 0
  t.same(await run(), { applied: [], skipped: files })
  t.match(lines, [/^clinic: up to date/])
})

t.test('a dry run says what it would do and does nothing', async (t) => {
  const { lines, run, recorded, files } = await fresh(t)
  t.same((await run({ dryRun: true })).applied, files)
  t.match(
    lines,
    files.map((file) => `clinic: ${file} would be applied`),
  )
  await t.rejects(recorded())
})

t.test('a file that was edited after it was applied is refused, and nothing is done', async (t) => {
  const { folder, run, recorded, files } = await fresh(t)
  await run()
  await appendFile(join(folder, files[0] ?? ''), '\n-- an afterthought\n')
  await writeFile(join(folder, '99_new.sql'), 'SELECT 1\nGO\n')
  await t.rejects(run(), { code: 'SYNC_MIGRATION_EDITED', message: new RegExp(`${files[0]} was changed after`) })
  t.same(await recorded(), files)
})

t.test('a failure names file, batch and line, and the next run begins with that file', async (t) => {
  const { folder, run, recorded, files } = await fresh(t)
  await writeFile(
    join(folder, '98_broken.sql'),
    'SELECT 1\nGO\n-- two\nSELECT 2\nGO\n\nSELECT * FROM dbo.NoSuchTable\nGO\n',
  )
  await writeFile(join(folder, '99_new.sql'), 'SELECT 1\n')
  await t.rejects(run(), {
    code: 'SYNC_MIGRATION_FAILED',
    message: /98_broken\.sql, batch 3, line [67]: .*208/,
  })
  t.same(await recorded(), files)
  await writeFile(join(folder, '98_broken.sql'), 'SELECT 1\nGO\n')
  t.same((await run()).applied, ['98_broken.sql', '99_new.sql'])
})

t.test('a clinic that cannot be reached is said so', async (t) => {
  await t.rejects(migrate({ side: 'clinic', url: 'mssql://nobody:nothing@127.0.0.1:1/clinic?encrypt=false' }), {
    code: 'SYNC_DATABASE_DOWN',
  })
})
