// What the procedures of schema sync refuse. Runs against the simulator, and against SQLSERVER_URL when it is set.
import sql from 'mssql'
import t from 'tap'
import { openTarget, rows, treatment, value } from './target.ts'

const target = await openTarget(t)
const session = await target.session()
const { set } = await treatment(target.pool)
/** Something of a patient's, in every argument that is refused: no message may repeat it. */
const SECRET = 'Ali Hassan 0750'

const MAX = [null, 0, -1, 100_001, 2_147_483_647]
const TABLES = [null, '', 'tblpatients', `patients; ${SECRET}`]
const TEXTS = [null, '', SECRET, `["${SECRET}"`, `{"${SECRET}": 1}`, `"${SECRET}"`, '7', 'null']
const change = { table: 'aligner_notes', key: 5, version: '7', since: null, base: null, row: null }
const settlement = { table: 'aligner_notes', key: 5, version: '7', outcome: 'applied' }
/** Arrays of which one element is not as it should be: each has one property more, less or other. */
const arrays = (good: Readonly<Record<string, unknown>>, bad: readonly Readonly<Record<string, unknown>>[]) => [
  `[${JSON.stringify(good)}, "${SECRET}"]`,
  '[[]]',
  '[{}]',
  '[null]',
  ...bad.map((different) =>
    JSON.stringify([
      { ...good, key: 4 },
      { ...good, ...different },
    ]),
  ),
]
const ANY = [
  { table: 7 },
  { table: null },
  { table: '' },
  { table: 'x'.repeat(101) },
  { key: null },
  { key: SECRET },
  { key: '' },
  { key: 1.5 },
  { key: 2_147_483_648 },
  { key: [5] },
  { version: undefined },
  { version: null },
  { version: '' },
  { version: SECRET },
  { version: '9223372036854775808' },
]
const CHANGES = [
  { row: undefined },
  { row: SECRET },
  { row: [1] },
  { base: undefined },
  { base: 7 },
  { since: undefined },
  { since: SECRET },
  { inexact: 'yes' },
]
const SETTLEMENTS = [
  { outcome: undefined },
  { outcome: SECRET },
  { outcome: null },
  { code: 7 },
  { reason: { text: SECRET } },
]

type Inputs = Readonly<Record<string, readonly [type: sql.ISqlType, value: unknown]>>
interface Case {
  readonly procedure: string
  readonly parameter: string
  readonly number: 51200 | 51201
  readonly values: readonly unknown[]
  readonly inputs: (value: unknown) => Inputs
}
const table = (given: unknown) => [sql.NVarChar(100), given] as const
const int = (given: unknown) => [sql.Int(), given] as const
const text = (given: unknown) => [sql.NVarChar(sql.MAX), given] as const
const bit = (given: unknown) => [sql.Bit(), given] as const
const readRows = (given: Inputs): Inputs => ({ Table: table('patients'), After: int(null), Max: int(1), ...given })
const page = (given: Inputs): Inputs => ({ Table: table('patients'), Max: int(1), Restart: bit(true), ...given })

const CASES: readonly Case[] = [
  { procedure: 'TakeChanges', parameter: 'Max', number: 51200, values: MAX, inputs: (given) => ({ Max: int(given) }) },
  {
    procedure: 'ReadRows',
    parameter: 'Max',
    number: 51200,
    values: MAX,
    inputs: (given) => readRows({ Max: int(given) }),
  },
  {
    procedure: 'ReadRows',
    parameter: 'Table',
    number: 51201,
    values: TABLES,
    inputs: (given) => readRows({ Table: table(given) }),
  },
  {
    procedure: 'BackfillPage',
    parameter: 'Max',
    number: 51200,
    values: MAX,
    inputs: (given) => page({ Max: int(given) }),
  },
  {
    procedure: 'BackfillPage',
    parameter: 'Table',
    number: 51201,
    values: TABLES,
    inputs: (given) => page({ Table: table(given) }),
  },
  {
    procedure: 'BackfillPage',
    parameter: 'Restart',
    number: 51200,
    values: [null],
    inputs: (given) => page({ Restart: bit(given) }),
  },
  {
    procedure: 'SettleChanges',
    parameter: 'Outcomes',
    number: 51200,
    values: [...TEXTS, ...arrays(settlement, [...ANY, ...SETTLEMENTS])],
    inputs: (given) => ({ Outcomes: text(given) }),
  },
  {
    procedure: 'SettleChanges',
    parameter: 'Outcomes',
    number: 51201,
    values: [JSON.stringify([settlement, { ...settlement, table: SECRET }])],
    inputs: (given) => ({ Outcomes: text(given) }),
  },
  {
    procedure: 'ApplyPortalChanges',
    parameter: 'Changes',
    number: 51200,
    values: [...TEXTS, ...arrays(change, [...ANY, ...CHANGES]), JSON.stringify([change, { ...change, version: '8' }])],
    inputs: (given) => ({ Changes: text(given) }),
  },
]

const requeue = (given: Inputs): Inputs => ({
  Status: table('Queued'),
  Table: table(null),
  Key: int(null),
  OlderThanSeconds: int(null),
  RunningMs: int(0),
  After: [sql.BigInt(), null],
  Max: int(1),
  DryRun: bit(false),
  ...given,
})
const STATUSES = [null, '', 'Pending', SECRET]
const record = { table: 'aligner_notes', key: 5, version: '7' }
const REQUEUES: readonly (readonly [string, 51200 | 51201, readonly unknown[], (given: unknown) => Inputs])[] = [
  ['Status', 51200, STATUSES, (given) => requeue({ Status: table(given) })],
  ['Table', 51201, TABLES.filter((name) => name !== null), (given) => requeue({ Table: table(given) })],
  ['Key', 51200, [7], (given) => requeue({ Key: int(given) })],
  ['OlderThanSeconds', 51200, [-1], (given) => requeue({ OlderThanSeconds: int(given) })],
  ['RunningMs', 51200, [null, -1], (given) => requeue({ RunningMs: int(given) })],
  ['Max', 51200, MAX, (given) => requeue({ Max: int(given) })],
  ['DryRun', 51200, [null], (given) => requeue({ DryRun: bit(given) })],
]
const OPERATING: readonly Case[] = [
  ...REQUEUES.map(([parameter, number, values, inputs]) => ({
    procedure: 'Requeue',
    parameter,
    number,
    values,
    inputs,
  })),
  {
    procedure: 'RecordVersions',
    parameter: 'Records',
    number: 51200,
    values: [...TEXTS, ...arrays(record, ANY)],
    inputs: (given) => ({ Records: text(given) }),
  },
  {
    procedure: 'RecordVersions',
    parameter: 'Records',
    number: 51201,
    values: [JSON.stringify([record, { ...record, table: SECRET }])],
    inputs: (given) => ({ Records: text(given) }),
  },
]

const history = (given: Inputs): Inputs => ({ Table: table('patients'), Key: int(1), Max: int(1), ...given })
const RECORDS: readonly Case[] = [
  {
    procedure: 'RecordHistory',
    parameter: 'Table',
    number: 51201,
    values: TABLES,
    inputs: (given) => history({ Table: table(given) }),
  },
  {
    procedure: 'RecordHistory',
    parameter: 'Key',
    number: 51200,
    values: [null],
    inputs: (given) => history({ Key: int(given) }),
  },
  {
    procedure: 'RecordHistory',
    parameter: 'Max',
    number: 51200,
    values: MAX,
    inputs: (given) => history({ Max: int(given) }),
  },
  {
    procedure: 'Rulings',
    parameter: 'Max',
    number: 51200,
    values: MAX,
    inputs: (given) => ({ Before: [sql.BigInt(), null], Max: int(given) }),
  },
]

async function call(procedure: string, inputs: Inputs): Promise<Error & { number?: number }> {
  const request = session.request()
  for (const [name, [type, given]] of Object.entries(inputs)) request.input(name, type, given)
  return request.execute(`sync.${procedure}`).then(
    () => new Error('nothing was refused'),
    (error: Error) => error,
  )
}

/** What a pooled connection would hand on to its next user. */
async function settings(): Promise<unknown> {
  const own = 'SELECT @@TRANCOUNT AS transactions, @@LOCK_TIMEOUT AS lockTimeout'
  const all =
    'SELECT @@TRANCOUNT AS transactions, @@LOCK_TIMEOUT AS lockTimeout, s.transaction_isolation_level AS isolation, s.deadlock_priority AS priority FROM sys.dm_exec_sessions s WHERE s.session_id = @@SPID'
  const [found] = await rows(session, target.real ? all : own)
  return { ...found }
}

for (const { procedure, parameter, number, values, inputs } of [...CASES, ...OPERATING, ...RECORDS]) {
  t.test(`sync.${procedure} refuses a malformed @${parameter} with ${number}`, async (t) => {
    await session.request().batch('SET LOCK_TIMEOUT 4321; SET DEADLOCK_PRIORITY HIGH')
    const before = await settings()
    for (const given of values) {
      const error = await call(procedure, inputs(given))
      const what = String(given)
      t.equal(error.number, number, what)
      t.ok(error.message.startsWith(`sync.${procedure}: @${parameter} `), what)
      t.notMatch(error.message, /Ali|Hassan|0750/)
    }
    t.match(before, { transactions: 0, lockTimeout: 4321 })
    t.strictSame(await settings(), before)
  })
}

t.test('what is refused changes nothing', async (t) => {
  await target.pool.request().batch('DELETE FROM dbo.SyncQueue')
  const insert = `INSERT INTO dbo.tblAlignerNotes (AlignerSetID, NoteType, NoteText) VALUES (${set}, 'Doctor', N'x'); SELECT CAST(SCOPE_IDENTITY() AS int) AS id`
  const key = Number(await value(target.pool, insert))
  // A delete, and a record of which the row is missing: what stands in front of it must not be applied either.
  const changes = [
    { ...change, key },
    { ...change, key: 4, row: undefined },
  ]
  t.equal((await call('ApplyPortalChanges', { Changes: text(JSON.stringify(changes)) })).number, 51200)
  t.equal(await value(target.pool, 'SELECT COUNT(*) AS n FROM sync.RowState'), 0)
  await target.pool.request().batch("UPDATE dbo.SyncQueue SET EventVersion = 7, Status = N'Queued'")
  const outcomes = [
    { ...settlement, key },
    { ...settlement, key: null },
  ]
  t.equal((await call('SettleChanges', { Outcomes: text(JSON.stringify(outcomes)) })).number, 51200)
  t.equal(await value(target.pool, 'SELECT Status FROM dbo.SyncQueue'), 'Queued')
  t.equal((await call('BackfillPage', page({ Max: int(0) }))).number, 51200)
  t.equal(await value(target.pool, 'SELECT COUNT(*) AS n FROM sync.Backfill'), 0)
})

t.test('arrays may be empty, begin with blanks, and hold the digits of a number as text', async (t) => {
  const refused = 'nothing was refused'
  t.equal((await call('SettleChanges', { Outcomes: text(' \r\n\t[ ]') })).message, refused)
  t.equal((await call('ApplyPortalChanges', { Changes: text(' \r\n\t[ ]') })).message, refused)
  const odd = { ...settlement, key: '5', version: 7, code: null, reason: 'r'.repeat(1200) }
  t.equal((await call('SettleChanges', { Outcomes: text(JSON.stringify([odd])) })).message, refused)
  t.equal((await call('TakeChanges', { Max: int(100_000) })).message, refused)
})
