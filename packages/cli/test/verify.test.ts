import t from 'tap'
import { askStatus } from '../src/status/ask.ts'
import { statusLines } from '../src/status/lines.ts'
import { verifying } from './support/verifying.ts'
import { TOKEN } from './support/whole-sync.ts'

// The command, with the services' own logins, beside the real services. What it finds and repairs is tried in packages/operations.

const { environment, login, portalSql, run, behind, startIngress, startConsumers } = await verifying(t)

t.test('what is on its way is in flight; nobody has to run for it to be compared', async (t) => {
  const { code, text } = await run()
  t.equal(code, 3)
  t.match(text, /aligner_doctors +1 +0 +0 +0 +1\n/)
  t.match(text, /Verified through \d{4}-\d\d-\d\d \d\d:\d\d UTC, 0 of 1 row differ, 1 was still on its way\.\n$/)
  const partial = await run({ tables: ['patients'] })
  t.equal(partial.code, 0)
  t.match(partial.text, /Not all tables were compared: the status goes on telling/)
})

t.test('an interruption says how far it was; nothing of it is kept', async (t) => {
  const stop = new AbortController()
  const going = run({ patienceMs: 60_000, signal: stop.signal })
  const before = await portalSql('SELECT count(*) AS n FROM sync.verifications')
  // It looks again at what is on its way: the row has been read by then.
  const looks = `SELECT 1 FROM pg_stat_activity WHERE usename = '${login}' AND query LIKE '%sync.record_states%'`
  while ((await portalSql(looks)).length === 0);
  stop.abort()
  const { code, progress } = await going
  t.equal(code, 130)
  t.match(progress, /^Interrupted after 1 row, in aligner_doctors\. Nothing of it is kept\.\n$/)
  t.strictSame(await portalSql('SELECT count(*) AS n FROM sync.verifications'), before)
})

t.test('a database that is down is named', async (t) => {
  for (const setting of ['SQLSERVER_URL', 'POSTGRES_URL'] as const) {
    const down = new URL(environment[setting])
    down.port = '9'
    await t.rejects(run({ environment: { ...environment, [setting]: down.href } }), {
      code: /SYNC_DATABASE/,
      message: setting === 'POSTGRES_URL' ? /portal/ : /SQL Server/,
    })
  }
})

t.test('a repair with the logins of the services says which it needs, before it compares', async (t) => {
  for (const setting of ['SQLSERVER_ADMIN_URL', 'POSTGRES_ADMIN_URL'])
    await t.rejects(run({ environment: { ...environment, [setting]: '' }, repair: true, yes: true }), {
      code: 'SYNC_CONFIG',
      message: new RegExp(setting),
    })
  t.equal(
    (
      await run({
        environment: { ...environment, SQLSERVER_ADMIN_URL: '', POSTGRES_ADMIN_URL: '' },
        repair: true,
        dryRun: true,
      })
    ).code,
    3,
  )
})

t.test('beside the services: found, told, repaired, and in the status', async (t) => {
  const { url } = await startIngress()
  await startConsumers()
  const beside = { patienceMs: 30_000 }
  const status = () => askStatus({ url, token: TOKEN }, new AbortController().signal)
  t.match((await status()).verification, { last: { inFlight: 1 } })

  const well = await run(beside)
  t.equal(well.code, 0, well.text)
  t.match((await status()).verification, { last: { rows: 1, differences: 0, inFlight: 0 }, running: null })
  t.match(statusLines(await status()).join('\n'), /Verified through .* UTC, 0 of 1 row differ\./)

  await behind("UPDATE aligner_doctors SET doctor_name = 'planted' WHERE dr_id = 1")
  const found = await run(beside)
  t.equal(found.code, 1)
  t.match(found.text, /^aligner_doctors\/1 differs: doctor_name\n/)
  t.notMatch(found.text, /planted|Secret/)
  t.match(await status(), { ok: false, problems: [/The two databases are not equal: .*1 of 1 row differs/] })
  t.match((await run({ ...beside, showValues: true })).text, /doctor_name: clinic "Dr Secret", portal "planted"/)
  const json = JSON.parse((await run({ ...beside, json: true })).text) as object
  t.match(json, {
    verification: { differences: 1, complete: true },
    differences: [{ table: 'aligner_doctors', key: 1, kind: 'different', columns: ['doctor_name'] }],
  })
  t.notMatch(JSON.stringify(json), /planted|Secret/)

  const dry = await run({ ...beside, repair: true, dryRun: true })
  t.equal(dry.code, 1)
  t.match(dry.text, /aligner_doctors: 1 sent from the clinic to the portal \(doctor_name 1\)\.\nNothing was sent\.\n$/)
  const refused = await run({ ...beside, repair: true, ask: () => Promise.resolve(false) })
  t.match(refused.text, /Nothing was sent\.\n$/)
  await t.rejects(run({ ...beside, repair: true }), { code: 'SYNC_USAGE', message: /add --yes, or --dry-run/ })
  await t.rejects(run({ ...beside, yes: true }), { code: 'SYNC_USAGE' })

  const repaired = await run({ ...beside, repair: true, yes: true })
  t.equal(repaired.code, 0, repaired.text)
  t.match(repaired.text, /1 queued in the clinic, 0 sent by the portal, 1 of the portal's rows put on record/)
  t.match(repaired.text, /Repaired: all 1 are equal now\.\n$/)
  t.match(await portalSql('SELECT doctor_name FROM aligner_doctors'), [{ doctor_name: 'Dr Secret' }])
  t.match(await status(), { ok: true, verification: { last: { differences: 0 } } })

  await portalSql("INSERT INTO sync.row_state (table_name, record_id, clinic_version) VALUES ('work', 1, 99999999)")
  await t.rejects(run({ ...beside, repair: true, yes: true }), { code: 'SYNC_RESTORED' })
  t.equal((await run(beside)).code, 0, 'and it is compared all the same')
})
