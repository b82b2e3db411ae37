import t, { type Test } from 'tap'
import type { Check } from '../src/doctor/check.ts'
import { definitionHash, shippedTriggers } from '../src/doctor/clinic/capture.ts'
import { ClinicFacts } from '../src/doctor/clinic/facts.ts'
import { clinicChecks } from '../src/doctor/clinic/index.ts'
import { unreachable } from '../src/doctor/clinic/server.ts'
import { offsetMinutes } from '../src/doctor/clinic/time.ts'
import { clinicDoorbellChecks } from '../src/doctor/doorbells/clinic.ts'
import { migrationFiles } from '../src/migrate/files.ts'
import { DatabaseError } from '@clinic-sync/sync'

// What each check says of what sync.Inspect tells: well, worth a warning, wrong. Nothing is asked of a database here.
const files = await migrationFiles('clinic')
const shipped = shippedTriggers(files.find(({ name }) => name === '02_sync_capture.sql') ?? { sql: '' })
const NOW = Date.parse('2026-02-01T10:00:00.000Z')
type Changes = Readonly<Record<string, string | null | undefined>>

/** A clinic in which all is well; `undefined` takes a fact away. */
function facts(changes: Changes = {}): ClinicFacts {
  const all: Changes = {
    EngineVersion: '16.0.1000.6',
    Edition: 'Express Edition (64-bit)',
    EngineEdition: '4',
    Platform: 'Windows',
    DatabaseName: 'the clinic',
    Owner: 'valid',
    CompatibilityLevel: '160',
    Collation: 'Arabic_CI_AS',
    ServerCollation: 'Arabic_CI_AS',
    IsBrokerEnabled: '1',
    IsReadCommittedSnapshot: '0',
    NestedTriggers: '1',
    OleAutomation: '0',
    RestEndpoint: null,
    UtcNow: '2026-02-01T10:00:00.000',
    UtcOffsetMinutes: '180',
    Doorbell: 'service-broker',
    DoorbellURL: '',
    DoorbellSecret: 'missing',
    BrokerQueue: 'enabled',
    BrokerBacklog: '0',
    ...Object.fromEntries(shipped.map(({ name }) => [`trigger:${name}`, 'enabled'])),
    ...Object.fromEntries(shipped.map(({ name, hash }) => [`definition:${name}`, hash])),
    'trigger:trg_SyncQueue_RingServiceBroker': 'enabled',
    'trigger:trg_SyncQueue_NotifyApp': 'missing',
    'trigger:trg_SyncQueue_NotifyAppByRest': 'missing',
    ...Object.fromEntries(files.map(({ name, checksum }) => [`migration:${name}`, checksum])),
    'outbox:Pending': '0',
    'outbox:Queued': '0',
    'outbox:Synced': '12',
    'outbox:Failed': '0',
    OldestPendingSeconds: '0',
    LastQueueID: '12',
    HighestSeenPortalVersion: '3',
    OriginalQueue: 'absent',
    Login: 'clinic_sync_service',
    'right:sysadmin': '0',
    'right:db_owner': '0',
    'right:SELECT dbo.tblpatients': '0',
    'right:EXECUTE sync.TakeChanges': '1',
    'index:tblwork(PersonID)': '1',
    'index:tblInvoice(AlignerSetID)': '1',
    ...changes,
  }
  const known = Object.entries(all).filter((fact): fact is [string, string | null] => fact[1] !== undefined)
  return new ClinicFacts(new Map(known), { sent: NOW - 20, received: NOW + 20 })
}

const look = (changes?: Changes, doorbell: 'service-broker' | 'none' = 'service-broker') =>
  clinicChecks(facts(changes), { settings: { CLINIC_TIME_ZONE: 'Asia/Baghdad', CLINIC_DOORBELL: doorbell }, files })

/** The one check that is not ok is this one, and it says this. */
function only(t: Test, checks: readonly Check[], expected: Partial<Record<keyof Check, string | RegExp>>) {
  const wrong = checks.filter(({ status }) => status !== 'ok')
  t.equal(wrong.length, 1, `one: ${wrong.map(({ id }) => id).join()}`)
  t.match(wrong[0], expected)
  t.ok(wrong[0]?.todo)
}

t.test('a clinic in which all is well', async (t) => {
  const checks = look()
  t.same(
    checks.filter(({ status, todo }) => status !== 'ok' || todo !== null),
    [],
  )
  t.match(
    checks.find(({ id }) => id === 'clinic.version'),
    { found: 'SQL Server 2022 (16.0.1000.6), Express Edition (64-bit), Windows, database the clinic' },
  )
  t.match(checks.find(({ id }) => id === 'clinic.clients')?.found, /EF Core 7.*error 334/)
  t.equal(new Set(checks.map(({ id }) => id)).size, checks.length, 'each id once')
})

t.test('engine and database', async (t) => {
  only(t, look({ EngineVersion: '12.0.5000.0' }), { id: 'clinic.version', status: 'fail', found: /^SQL Server 2014/ })
  t.same(
    look({ EngineVersion: '12.0.2000.8', EngineEdition: '8' }).filter(({ status }) => status !== 'ok'),
    [],
  )
  only(t, look({ CompatibilityLevel: '120' }), {
    id: 'clinic.compatibility',
    todo: 'ALTER DATABASE [the clinic] SET COMPATIBILITY_LEVEL = 130;',
  })
  only(t, look({ Owner: 'missing', DatabaseName: 'a]b' }), {
    id: 'clinic.owner',
    found: /15517/,
    todo: 'ALTER AUTHORIZATION ON DATABASE::[a]]b] TO sa;',
  })
  only(t, look({ NestedTriggers: '0' }), {
    id: 'clinic.nested-triggers',
    status: 'fail',
    todo: "EXEC sp_configure 'nested triggers', 1; RECONFIGURE;",
  })
  t.match(
    look({ Collation: 'Arabic_CS_AS' }).find(({ id }) => id === 'clinic.collation'),
    {
      status: 'ok',
      found: /^Arabic_CS_AS, the server's is Arabic_CI_AS/,
    },
  )
  only(t, look({ NestedTriggers: null, LastQueueID: null }), {
    id: 'clinic.unseen',
    status: 'warn',
    found: 'not seen: NestedTriggers, LastQueueID',
    todo: 'npm run sync -- doctor --as-admin',
  })
})

t.test('migrations: missing, older, edited, newer', async (t) => {
  only(t, look({ 'migration:05_sync_apply.sql': undefined }), {
    id: 'clinic.migrations',
    status: 'fail',
    found: 'missing: 05_sync_apply.sql',
    todo: 'npm run sync -- migrate clinic',
  })
  only(t, look({ 'migration:03_sync_procedures.sql': 'another', 'migration:02_sync_capture.sql': 'another' }), {
    found: 'older than here: 02_sync_capture.sql, 03_sync_procedures.sql',
  })
  only(t, look({ 'migration:01_sync_schema.sql': 'another' }), { id: 'clinic.migrations.edited', status: 'fail' })
  only(t, look({ 'migration:77_from_the_future.sql': 'x' }), { id: 'clinic.migrations.newer', status: 'warn' })
  const doorbells = files
    .filter(({ doorbell }) => doorbell !== null)
    .map(({ name }) => [`migration:${name}`, undefined])
  t.same(
    look(Object.fromEntries(doorbells), 'none').filter(({ status }) => status !== 'ok'),
    [],
    'those of other doorbells are not wanted',
  )
})

t.test('capture triggers', async (t) => {
  t.equal(shipped.length, 7)
  const [first] = shipped
  if (first === undefined) throw new Error('none is shipped')
  only(t, look({ [`trigger:${first.name}`]: 'disabled' }), {
    status: 'fail',
    found: /switched off/,
    todo: `ENABLE TRIGGER dbo.[${first.name}] ON dbo.[${first.table}]; then, for what was missed: npm run sync -- backfill --restart`,
  })
  only(t, look({ [`trigger:${first.name}`]: 'missing', [`definition:${first.name}`]: null }), {
    found: /is gone/,
    todo: /02_sync_capture/,
  })
  only(t, look({ [`definition:${first.name}`]: 'ab'.repeat(32) }), { found: /not as shipped/ })
  only(t, look({ 'migration:02_sync_capture.sql': undefined, [`trigger:${first.name}`]: 'missing' }), {
    id: 'clinic.migrations',
  })
  t.same(
    look({ [`definition:${first.name}`]: null }).filter(({ status }) => status !== 'ok'),
    [],
    'an engine that tells no text',
  )
  t.equal(definitionHash('CREATE\r\n\tTRIGGER  x'), definitionHash('CREATETRIGGERx'))
  t.match(
    look({ 'otherTrigger:tblAlignerBatches.trg_flags': 'disabled' }).find(({ id }) => id === 'clinic.other-triggers'),
    {
      status: 'ok',
      found: 'tblAlignerBatches.trg_flags (off)',
    },
  )
})

t.test('rights and clients', async (t) => {
  only(t, look({ 'right:EXECUTE sync.TakeChanges': '0' }), {
    id: 'clinic.procedures',
    status: 'fail',
    found: /sync\.TakeChanges/,
  })
  const of07 = { 'right:EXECUTE sync.WaitForChanges': '0' }
  only(t, look(of07), { id: 'clinic.procedures', found: /sync\.WaitForChanges/ })
  const unwanted = { ...of07, 'migration:07_service_broker_doorbell.sql': undefined }
  t.same(
    look(unwanted, 'none').filter(({ status }) => status !== 'ok'),
    [],
    'with another doorbell it is not there',
  )
  only(t, look(unwanted), { id: 'clinic.migrations' })
  for (const right of ['sysadmin', 'db_owner', 'SELECT dbo.tblpatients'])
    only(t, look({ [`right:${right}`]: '1' }), {
      id: 'clinic.least-privilege',
      status: 'warn',
      todo: /service_login\.sql/,
    })
  only(t, look({ 'atRisk:dbo.uspBook': 'OUTPUT without INTO' }), {
    id: 'clinic.clients',
    status: 'warn',
    found: /dbo\.uspBook.*334.*EF Core/,
  })
})

t.test('zone and clock', async (t) => {
  only(t, look({ UtcOffsetMinutes: '0' }), {
    id: 'clinic.time-zone',
    status: 'fail',
    found: /UTC\+0, Asia\/Baghdad at UTC\+3.*180 minutes/,
  })
  t.equal(offsetMinutes('Asia/Kolkata', NOW), 330)
  t.equal(offsetMinutes('America/St_Johns', NOW), -210)
  t.equal(offsetMinutes('Europe/Berlin', Date.parse('2026-07-01T00:00:00Z')), 120)
  only(t, look({ UtcNow: '2026-02-01T10:00:05.000' }), {
    id: 'clinic.clock',
    status: 'warn',
    found: /^it is 5 s ahead/,
  })
  t.same(
    look({ UtcNow: '2026-02-01T10:00:02.010' }).filter(({ status }) => status !== 'ok'),
    [],
    'what lies in the round trip is no skew',
  )
})

t.test('outbox, indexes, the original', async (t) => {
  only(t, look({ 'outbox:Failed': '2' }), {
    id: 'clinic.outbox.failed',
    status: 'warn',
    todo: /^SELECT .* WHERE Status = N'Failed'/,
  })
  only(t, look({ 'outbox:Pending': '9', OldestPendingSeconds: '61' }), {
    id: 'clinic.outbox',
    status: 'warn',
    found: /^9 pending.*61 s/,
  })
  only(t, look({ 'outbox:Pending': '9', OldestPendingSeconds: '7200' }), {
    id: 'clinic.outbox',
    status: 'fail',
    found: /2 hours/,
  })
  only(t, look({ 'index:tblwork(PersonID)': '0' }), {
    status: 'warn',
    todo: 'CREATE INDEX [IX_tblwork_PersonID] ON dbo.[tblwork] ([PersonID]);',
  })
  t.match(
    look({ OriginalQueue: 'present' }).find(({ id }) => id === 'clinic.original'),
    { status: 'ok' },
  )
  only(t, look({ OriginalQueue: 'present', TakeOver: 'missing' }), {
    status: 'fail',
    todo: /^npm run sync -- take-over/,
  })
  only(t, look({ OriginalQueue: 'present', SettledByOthers: '1' }), {
    status: 'fail',
    found: /^1 row of SyncQueue/,
    todo: /NOT EXISTS/,
  })
  only(t, look({ OriginalQueue: 'present', 'original:dbo.trg_X': 'tblwork' }), {
    status: 'warn',
    found: /dbo\.trg_X on tblwork/,
  })
})

t.test('a clinic that does not answer is one fail, with what to do', async (t) => {
  const failure = (message: string, options: object) => unreachable(new DatabaseError('down', message, options))
  t.match(
    failure('SQL Server refused the login (error 18456); check user, password and database.', { number: '18456' }),
    {
      id: 'clinic.reachable',
      status: 'fail',
      found: /18456.*Left out: all other checks/,
      todo: /SQLSERVER_URL/,
    },
  )
  t.match(
    failure('It lacks sync.Inspect', { code: 'SYNC_NOT_MIGRATED', number: '2812' }).todo,
    /^npm run sync -- migrate clinic$/,
  )
  t.match(failure('It may not', { code: 'SYNC_NOT_MIGRATED', number: '229' }).todo, /service_login\.sql/)
  t.match(failure('Nobody is dbo', { number: '15517' }).todo, /^ALTER AUTHORIZATION/)
  t.match(failure('The log is full', { number: '9002' }).todo, /^Back up the log/)
  t.match(failure('ESOCKET', {}).todo, /Start SQL Server/)
  t.match(failure('There is no connection (ESOCKET, ECONNREFUSED).', {}).todo, /Start SQL Server/)
  for (const code of ['DEPTH_ZERO_SELF_SIGNED_CERT', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'ERR_TLS_CERT_ALTNAME_INVALID'])
    t.match(failure(`There is no connection for sync.Inspect (ESOCKET, ${code}).`, {}).todo, /trustServerCertificate/)
})

t.test('doorbells', async (t) => {
  type Chosen = Parameters<typeof clinicDoorbellChecks>[1]['CLINIC_DOORBELL']
  const bells = (chosen: Chosen, changes: Changes = {}, heard = false, INGRESS_URL = 'http://sync.local:3000') =>
    clinicDoorbellChecks(facts(changes), { CLINIC_DOORBELL: chosen, INGRESS_URL }, heard)
  const well = (checks: readonly Check[]) =>
    t.same(
      checks.filter(({ status }) => status !== 'ok'),
      [],
    )
  well(bells('service-broker'))
  only(t, bells('service-broker', { Doorbell: 'none' }), {
    id: 'doorbells.clinic.setting',
    status: 'fail',
    todo: 'npm run sync -- doorbell',
  })
  only(t, bells('none', { Doorbell: 'none' }), { id: 'doorbells.clinic.setting', status: 'warn' })
  well(bells('http', { Doorbell: 'none' }))
  only(t, bells('service-broker', { IsBrokerEnabled: '0' }), {
    id: 'doorbells.clinic.service-broker',
    found: /rolls back every open transaction.*after each restore/,
    todo: /ALTER DATABASE \[the clinic\] SET ENABLE_BROKER WITH ROLLBACK IMMEDIATE;$/,
  })
  only(t, bells('service-broker', { BrokerQueue: 'disabled' }), {
    todo: 'ALTER QUEUE sync.DoorbellQueue WITH STATUS = ON;',
  })
  only(t, bells('service-broker', { BrokerBacklog: '3' }), { status: 'warn', found: /^3 messages/ })
  only(t, bells('service-broker', { 'trigger:trg_SyncQueue_RingServiceBroker': 'disabled' }), {
    todo: 'ENABLE TRIGGER dbo.trg_SyncQueue_RingServiceBroker ON dbo.SyncQueue;',
  })
  only(t, bells('service-broker', { 'trigger:trg_SyncQueue_NotifyApp': 'enabled' }), {
    status: 'warn',
    found: /rings too/,
  })
  only(t, bells('service-broker', { 'trigger:trg_SyncQueue_RingServiceBroker': 'missing' }), {
    todo: 'npm run sync -- migrate clinic, then: npm run sync -- doorbell',
  })
  only(t, bells('service-broker', { EngineEdition: '5' }), { id: 'doorbells.clinic.possible', todo: /^[^&]*$/ })

  const ole = {
    Doorbell: 'ole-automation',
    OleAutomation: '1',
    DoorbellURL: 'http://user:PLANTED@sync.local:3000/api/sync/queue-notify?x=PLANTED',
    DoorbellSecret: 'set',
    'trigger:trg_SyncQueue_NotifyApp': 'enabled',
    'trigger:trg_SyncQueue_RingServiceBroker': 'disabled',
  }
  well(bells('ole-automation', ole))
  t.notMatch(JSON.stringify(bells('ole-automation', ole)), /PLANTED/)
  only(t, bells('ole-automation', { ...ole, OleAutomation: '0' }), {
    todo: /'Ole Automation Procedures', 1; RECONFIGURE;$/,
  })
  only(t, bells('ole-automation', { ...ole, DoorbellSecret: 'missing' }), { id: 'doorbells.clinic.secret' })
  only(t, bells('ole-automation', { ...ole, Platform: 'Linux' }), { id: 'doorbells.clinic.possible' })
  only(t, bells('ole-automation', { ...ole, DoorbellURL: 'http://sync.local:3000/elsewhere' }), {
    id: 'doorbells.clinic.url',
    status: 'fail',
  })
  const another = { ...ole, DoorbellURL: 'http://10.0.0.7:3000/api/sync/queue-notify' }
  only(t, bells('ole-automation', another), {
    id: 'doorbells.clinic.url',
    status: 'warn',
    found: /10\.0\.0\.7.*sync\.local/,
  })
  well(bells('ole-automation', another, true))
  const behind = { ...ole, DoorbellURL: 'https://proxy.local/clinic/api/sync/queue-notify' }
  well(bells('ole-automation', behind, false, 'https://proxy.local/clinic/'))
  only(t, bells('rest-endpoint', {}), { id: 'doorbells.clinic.possible' })
  only(
    t,
    bells('rest-endpoint', {
      ...ole,
      Doorbell: 'rest-endpoint',
      EngineVersion: '17.0.1',
      RestEndpoint: '0',
      'trigger:trg_SyncQueue_NotifyApp': 'disabled',
      'trigger:trg_SyncQueue_NotifyAppByRest': 'enabled',
    }),
    {
      todo: "EXEC sp_configure 'external rest endpoint enabled', 1; RECONFIGURE;",
    },
  )
})
