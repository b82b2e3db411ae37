import { testClinic, testPostgres } from '@clinic-sync/dev-services/testing'
import pg from 'pg'
import t from 'tap'
import { alone } from '../src/after-restore/alone.ts'
import { type AfterRestoreCommand, afterRestoreCommand } from '../src/after-restore/command.ts'
import { migrate } from '../src/migrate/index.ts'

// What somebody does wrong with it at night. What it repairs is tried in packages/operations.

const [clinic, { url }] = await Promise.all([testClinic(t), testPostgres(t)])
await migrate({ side: 'portal', url, withPortalTables: true })
const portal = new pg.Client({ connectionString: url })
await portal.connect()
t.teardown(() => portal.end())

const environment = { SQLSERVER_ADMIN_URL: clinic.url, POSTGRES_ADMIN_URL: url, CLINIC_TIME_ZONE: 'Asia/Baghdad' }
async function run(options: Partial<AfterRestoreCommand>) {
  const said: string[] = []
  const ended = await afterRestoreCommand({
    environment,
    dryRun: false,
    yes: false,
    say: (line) => void said.push(line),
    ...options,
  })
  return { said: said.join('\n'), ended }
}

t.test('nothing was restored: it says so, and changes nothing', async (t) => {
  const { said, ended } = await run({ yes: true })
  t.match(said, /^Neither database knows less .*\nBoth sides have the same rows\.$/)
  t.equal(ended, true)
})

t.test('the other side is named than the one that went back: its rows would be taken for the newer ones', async (t) => {
  await portal.query(
    "INSERT INTO sync.row_state (table_name, record_id, clinic_version) VALUES ('patients', 1, 99999999)",
  )
  for (const dryRun of [true, false])
    await t.rejects(run({ side: 'portal', dryRun, yes: true }), {
      code: 'SYNC_USAGE',
      message: /^The clinic's database was restored: it has handed out .* Leave --side portal away\.$/,
    })
  t.match((await run({ dryRun: true })).said, /^The clinic's database was restored/)
  t.match(
    (await run({ dryRun: true, side: 'clinic' })).said,
    /^The clinic's database was restored from a backup: it has handed out/,
  )
})

t.test('two at once: the second one is told of the first, and may look', async (t) => {
  await alone(url, 'after-restore', async () => {
    await t.rejects(run({ yes: true }), { code: 'SYNC_USAGE', message: /is running already/ })
    t.match((await run({ dryRun: true })).said, /Nothing was changed\.$/)
  })
  t.equal((await run({ ask: () => Promise.resolve(false) })).ended, false, 'and then it is free')
})
