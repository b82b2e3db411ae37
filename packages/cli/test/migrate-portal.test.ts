import { appendFile, cp, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { testPostgres } from '@clinic-sync/dev-services/testing'
import pg from 'pg'
import t, { type Test } from 'tap'
import { migrate, type MigrateOptions } from '../src/migrate/index.ts'

const MIGRATIONS = fileURLToPath(new URL('../../../migrations/postgres', import.meta.url))

/** A database of its own, and a copy of the migrations that may be spoilt. */
async function fresh(t: Test) {
  const { url } = await testPostgres(t)
  const folder = await mkdtemp(join(tmpdir(), 'clinic-sync-migrate-'))
  await cp(MIGRATIONS, folder, { recursive: true })
  t.teardown(() => rm(folder, { recursive: true }))
  const lines: string[] = []
  const run = (options: Partial<MigrateOptions> = {}) =>
    migrate({ side: 'portal', url, folder, withPortalTables: true, onLine: (line) => lines.push(line), ...options })
  return { url, folder, lines, run, files: (await readdir(folder)).filter((name) => name.endsWith('.sql')).sort() }
}

async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(text)).rows
  } finally {
    await client.end()
  }
}

const recorded = async (url: string) =>
  (await query(url, 'SELECT name FROM sync.migrations ORDER BY name')).map((row) => row.name)

t.test('an empty database gets every file once, each is recorded, twice is nothing', async (t) => {
  const { url, lines, run, files } = await fresh(t)
  t.same((await run()).applied, files)
  t.same(await recorded(url), files)
  t.equal(lines.length, files.length, 'one line a file')
  lines.length = 0
  t.same(await run(), { applied: [], skipped: files, leftOut: [] })
  t.match(lines, [/^portal: up to date/])
})

t.test('two at once wait for each other', async (t) => {
  const { url, run, files } = await fresh(t)
  const both = await Promise.all([run(), run()])
  t.same(both.flatMap((result) => result.applied).sort(), files)
  t.same(await recorded(url), files)
})

t.test('one that never ends is not waited for for ever', async (t) => {
  const { url, run } = await fresh(t)
  const other = new pg.Client({ connectionString: url })
  await other.connect()
  t.teardown(() => other.end())
  await other.query('SELECT pg_advisory_lock(495857635841)')
  const failure = { code: 'SYNC_MIGRATION_FAILED', message: /^Another migration of this portal has been running for/ }
  await t.rejects(run({ patience: 50 }), failure)
})

t.test('what Postgres refuses outside a file is said in our words', async (t) => {
  const { url, run } = await fresh(t)
  await run()
  await query(url, 'ALTER TABLE sync.migrations RENAME COLUMN checksum TO other')
  const message = /^The portal failed reading sync\.migrations \(SQLSTATE 42703\)/
  await t.rejects(run(), { code: 'SYNC_DATABASE_DOWN', message })
})

t.test('a dry run says what it would do and does nothing', async (t) => {
  const { url, lines, run, files } = await fresh(t)
  t.same((await run({ dryRun: true })).applied, files)
  t.match(
    lines,
    files.map((file) => `portal: ${file} would be applied`),
  )
  t.same(await query(url, "SELECT 1 FROM pg_namespace WHERE nspname = 'sync'"), [])
})

t.test('a file that was edited after it was applied is refused, and nothing is done', async (t) => {
  const { url, folder, run, files } = await fresh(t)
  await run()
  await appendFile(join(folder, files[1] ?? ''), '\n-- an afterthought\n')
  await writeFile(join(folder, '99_new.sql'), 'CREATE TABLE sync.new_one ()')
  await t.rejects(run(), { code: 'SYNC_MIGRATION_EDITED', message: new RegExp(`${files[1]} was changed after`) })
  t.same(await recorded(url), files)
})

t.test('a generated file that has changed with the mapping is applied again', async (t) => {
  const { url, folder, run, files } = await fresh(t)
  await run()
  await appendFile(join(folder, '02_sync_apply.sql'), '\nCREATE TABLE sync.from_the_mapping ();\n')
  t.same((await run()).applied, ['02_sync_apply.sql', '99_service_role.sql'], 'and what it grants')
  t.same(await recorded(url), files)
  t.same(await query(url, "SELECT to_regclass('sync.from_the_mapping') IS NOT NULL AS there"), [{ there: true }])
  t.same((await run()).applied, [])
})

t.test('CRLF line ends are no edit', async (t) => {
  const { folder, run } = await fresh(t)
  await writeFile(join(folder, '99_new.sql'), 'CREATE TABLE sync.new_one ();\nSELECT 1;\n')
  await run()
  await writeFile(join(folder, '99_new.sql'), 'CREATE TABLE sync.new_one ();\r\nSELECT 1;\r\n')
  t.same((await run()).applied, [])
})

t.test('a failure names file and line, leaves no trace of its file, and the next run goes on there', async (t) => {
  const { url, folder, run, files } = await fresh(t)
  await writeFile(join(folder, '95_broken.sql'), 'CREATE TABLE sync.half ();\n\nSELECT no_such_column;\n')
  await writeFile(join(folder, '96_new.sql'), 'CREATE TABLE sync.new_one ();\n')
  const failure = { code: 'SYNC_MIGRATION_FAILED', message: /95_broken\.sql, line 3: .*no_such_column.*42703/ }
  await t.rejects(run(), failure)
  t.same(await recorded(url), files.slice(0, -1))
  t.same(await query(url, "SELECT to_regclass('sync.half') AS half"), [{ half: null }])
  await writeFile(join(folder, '95_broken.sql'), 'CREATE TABLE sync.half ();\n')
  t.same((await run()).applied, ['95_broken.sql', '96_new.sql', '99_service_role.sql'])
})

t.test('a failure about data does not repeat the data', async (t) => {
  const { folder, run } = await fresh(t)
  await writeFile(join(folder, '99_new.sql'), "SELECT 'a patient''s name'::int;")
  await t.rejects(run(), { message: /^((?!patient).)*22P02/ })
})

t.test("without the portal's tables, says how to create them", async (t) => {
  const { run } = await fresh(t)
  await t.rejects(run({ withPortalTables: false }), {
    code: 'SYNC_MIGRATION_FAILED',
    message: /no table aligner_doctors.*--with-portal-tables/,
  })
  await run()
  t.notMatch((await run({ withPortalTables: false })).skipped, ['00_portal_tables.sql'])
})

t.test('a login that is refused is said so', async (t) => {
  const { url } = await testPostgres(t)
  const wrong = Object.assign(new URL(url), { password: 'hunter2' }).href
  await t.rejects(migrate({ side: 'portal', url: wrong }), { code: 'SYNC_LOGIN_REFUSED', advice: /user and password/ })
})

t.test('a database that cannot be reached is said so', async (t) => {
  await t.rejects(migrate({ side: 'portal', url: 'postgres://nobody@127.0.0.1:1/none' }), {
    code: 'SYNC_DATABASE_DOWN',
  })
  const certificate = '?sslmode=verify-full&sslrootcert=/no/such/file.pem'
  await t.rejects(migrate({ side: 'portal', url: `postgres://nobody@127.0.0.1:1/none${certificate}` }), {
    code: 'SYNC_CONFIG',
    message: /ENOENT/,
  })
})
