// sync.Inspect: the same names in the same forms on every engine. Runs against the simulator, and SQLSERVER_URL when it is set.
import { captureTriggers, DOORBELL_TRIGGERS, SERVICE_PROCEDURES } from '@clinic-sync/mapping'
import t from 'tap'
import { openBench } from './bench.ts'

const bench = await openBench(t)
const { run } = bench

const FLAG = /^[01]$/
const NUMBER = /^-?\d+$/
const NAME = /^\w+$/
const STATE = /^(missing|disabled|enabled)$/
const captured = captureTriggers().map(({ trigger }) => trigger)
const all = (names: readonly string[], form: RegExp) => names.map((name) => [name, form] as const)

/** What is always told, and its form where it can be seen. */
const FORMS = new Map<string, RegExp>([
  ['EngineVersion', /^\d+\./],
  ['Edition', /./],
  ['Platform', /^(Windows|Linux)$/],
  ['DatabaseName', NAME],
  ['Owner', /^(valid|missing)$/],
  ['Collation', NAME],
  ['ServerCollation', NAME],
  ['UtcNow', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}$/],
  ['Doorbell', /^(none|service-broker)$/],
  ['DoorbellURL', /^/],
  ['DoorbellSecret', /^(set|missing)$/],
  ['BrokerQueue', STATE],
  ['OriginalQueue', /^(present|absent)$/],
  ['TakeOver', /^(missing)?$/],
  ['Login', /./],
  ...all(['EngineEdition', 'CompatibilityLevel', 'UtcOffsetMinutes', 'BrokerBacklog', 'OldestPendingSeconds'], NUMBER),
  ...all(['LastQueueID', 'HighestSeenPortalVersion'], NUMBER),
  ...all(['IsBrokerEnabled', 'IsReadCommittedSnapshot', 'NestedTriggers', 'OleAutomation', 'RestEndpoint'], FLAG),
  ...all(
    ['Pending', 'Queued', 'Synced', 'Failed'].map((status) => `outbox:${status}`),
    NUMBER,
  ),
  ...all(
    [...captured, ...Object.values(DOORBELL_TRIGGERS)].map((trigger) => `trigger:${trigger}`),
    STATE,
  ),
  ...all(
    captured.map((trigger) => `definition:${trigger}`),
    /^[0-9a-f]{64}$/,
  ),
  ...all(['right:sysadmin', 'right:db_owner', 'index:tblwork(PersonID)', 'index:tblInvoice(AlignerSetID)'], FLAG),
  ...all(
    captureTriggers().map(({ table }) => `right:SELECT dbo.${table}`),
    FLAG,
  ),
  ...all(
    SERVICE_PROCEDURES.map((procedure) => `right:EXECUTE sync.${procedure}`),
    FLAG,
  ),
])
/** What may come besides. */
const BESIDES = /^(migration|otherTrigger|atRisk):./

t.test('every name once, each in its form', async (t) => {
  const rows = await run('EXEC sync.Inspect')
  const names = rows.map(({ Name }) => String(Name))
  t.strictSame(names.filter((name) => !BESIDES.test(name)).toSorted(), [...FORMS.keys()].toSorted())
  t.equal(new Set(names).size, names.length)
  for (const { Name, Value } of rows) {
    const form = FORMS.get(String(Name))
    if (form !== undefined && Value !== null) t.match(Value, form, String(Name))
    // What only some engines have, or let everybody see.
    else if (!bench.babelfish && Name !== 'RestEndpoint' && Name !== 'OleAutomation') t.not(Value, null, String(Name))
  }
})

t.test('the capture triggers are as the mapping generates them', async (t) => {
  const facts = await bench.clinic.inspect()
  for (const { trigger, checksum } of captureTriggers()) {
    if (!bench.babelfish) t.equal(facts.get(`definition:${trigger}`), checksum, trigger)
    t.equal(facts.get(`trigger:${trigger}`), 'enabled')
  }
  // Babelfish keeps names in small letters.
  const other = [...facts].find(([name]) =>
    /^otherTrigger:tblAlignerBatches\.trg_AlignerBatches_DaysActivity$/i.test(name),
  )
  t.equal(other?.[1], 'enabled')
})

t.test('the outbox is counted as far as it is committed', async (t) => {
  await bench.clear()
  for (let i = 0; i < 4; i++) await run("INSERT INTO dbo.AlignerDoctors (DoctorName) VALUES (N'x')")
  const ids = (await run('SELECT QueueID FROM dbo.SyncQueue ORDER BY QueueID')).map(({ QueueID }) => String(QueueID))
  await run(`UPDATE dbo.SyncQueue SET Status = 'Synced' WHERE QueueID = ${ids[0]}`)
  await run(`UPDATE dbo.SyncQueue SET Status = 'Failed' WHERE QueueID = ${ids[1]}`)
  await run(`UPDATE dbo.SyncQueue SET CreatedAt = DATEADD(second, -100, CreatedAt) WHERE QueueID = ${ids[2]}`)
  await run("INSERT INTO sync.RowState (TableName, RecordID, SeenPortalVersion) VALUES ('work', 1, 9007199254740993)")
  const session = await bench.session()
  await session.begin()
  await session.run("INSERT INTO dbo.AlignerDoctors (DoctorName) VALUES (N'not yet')")
  const facts = await bench.clinic.inspect()
  const counts = ['Pending', 'Queued', 'Synced', 'Failed'].map((status) => facts.get(`outbox:${status}`))
  t.strictSame(counts, ['2', '0', '1', '1'])
  const seconds = Number(facts.get('OldestPendingSeconds'))
  t.ok(seconds >= 100 && seconds < 160, `${seconds} s`)
  t.equal(facts.get('HighestSeenPortalVersion'), '9007199254740993')
  if (!bench.babelfish) t.ok(BigInt(facts.get('LastQueueID') ?? 0) > BigInt(ids[3] ?? 0), 'numbers are handed out once')
})
