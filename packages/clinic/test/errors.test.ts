import { toDatabaseError } from '@clinic-sync/clinic'
import { SyncError } from '@clinic-sync/sync'
import t from 'tap'

const server = (number: number, message = 'Violation for value 0770-SECRET') =>
  Object.assign(new Error(message), { name: 'RequestError', code: 'EREQUEST', number })
const driver = (code: string, name = 'ConnectionError') => Object.assign(new Error('0770-SECRET'), { name, code })

t.test('the class of a server error', async (t) => {
  for (const [failure, numbers] of Object.entries({
    transient: [1205, 1222, 2601, 2627, 547, 3960, 601, 41302, 40549, 51222],
    permanent: [515, 8152, 2628, 245, 8114, 8115, 50000, 51200, 51201, 99999],
    // An hour of any of these must dead-letter nothing.
    down: [
      40613, 4060, 18456, 233, 17142, 942, 15517, 701, 802, 823, 1101, 1105, 3906, 8645, 9001, 9002, 10928, 40501,
      40544,
    ],
  })) {
    for (const number of numbers) {
      t.match(toDatabaseError(server(number), 'sync.X'), {
        failure,
        number: String(number),
        code: /^SYNC_(DATABASE|LOGIN_REFUSED)/,
      })
    }
  }
})

t.test('what is missing in the database means that it is not migrated', async (t) => {
  for (const number of [208, 207, 2812, 229, 8144]) {
    t.match(toDatabaseError(server(number), 'sync.X'), { failure: 'down', code: 'SYNC_NOT_MIGRATED' })
  }
})

t.test('what is missing in a trigger of the clinic’s own concerns its own rows only', async (t) => {
  const inside = (procName: string, doing = 'sync.ApplyPortalChanges') =>
    toDatabaseError(Object.assign(server(208), { procName }), doing)
  for (const procName of ['dbo.trg_Activity', 'trg_Activity']) {
    t.match(inside(procName), {
      failure: 'transient',
      code: 'SYNC_DATABASE',
      message: /in a trigger of the clinic's\.$/,
    })
  }
  for (const procName of [
    'sync.ApplyPortalChanges',
    'ApplyPortalChanges',
    'Insert_aligner_notes',
    'trg_sync_tblAlignerNotes',
    'dbo.trg_sync_tblAlignerNotes',
    '',
  ]) {
    t.match(inside(procName), { failure: 'down', code: 'SYNC_NOT_MIGRATED' }, procName)
  }
  t.match(inside('dbo.x', 'sync.TakeChanges'), { failure: 'down', code: 'SYNC_NOT_MIGRATED' })
})

t.test('a number that nobody knows goes by its severity', async (t) => {
  const severe = (severity: number, number = 33333) =>
    toDatabaseError(Object.assign(server(number), { class: severity }), 'sync.X')
  for (const [severity, failure] of [
    [11, 'permanent'],
    [13, 'transient'],
    [14, 'down'],
    [16, 'permanent'],
    [17, 'down'],
    [19, 'down'],
    [24, 'down'],
  ] as const) {
    t.match(severe(severity), { failure, number: '33333' }, `severity ${severity}`)
  }
  t.match(severe(18, 60_001), { failure: 'permanent' }, 'raised by a trigger, whatever it says')
})

t.test('a doorbell that lacks something: what, and for Service Broker the very statement', async (t) => {
  const noBell = { failure: 'down', code: 'SYNC_NO_DOORBELL', advice: /npm run sync -- doorbell/ }
  const off =
    'Service Broker is off. Run ALTER DATABASE [My]]Clinic] SET ENABLE_BROKER WITH ROLLBACK IMMEDIATE, 0770-SECRET'
  const statement = (name: string) => `ALTER DATABASE ${name} SET ENABLE_BROKER WITH ROLLBACK IMMEDIATE; `
  const message = (number: number, text?: string) => {
    const error = toDatabaseError(server(number, text), 'sync.X')
    t.match(error, { ...noBell, number: String(number) })
    t.notMatch(error.message, /0770/)
    return error.message
  }
  t.match(message(51210, off), statement('[My]]Clinic]'))
  t.match(message(51210, off), /rolled back/)
  t.match(message(51210), statement('CURRENT'), 'where it is not said, a statement that is right nevertheless')
  t.match(message(51211), /not the doorbell that is switched on/)
  t.match(message(51212), /npm run sync -- migrate/)
})

t.test('failures of the connection', async (t) => {
  for (const code of ['ESOCKET', 'ECONNCLOSED', 'ECONNREFUSED', 'EINSTLOOKUP', 'ETIMEOUT']) {
    t.match(toDatabaseError(driver(code), 'sync.X'), { failure: 'down', code: 'SYNC_DATABASE_DOWN' }, code)
  }
  t.match(toDatabaseError(driver('TIMEOUT', 'TimeoutError'), 'sync.X'), { failure: 'down' })
  t.match(toDatabaseError(driver('ELOGIN'), 'sync.X', 4060), {
    code: 'SYNC_DATABASE_DOWN',
    number: '4060',
    message: /4060/,
  })
  t.match(toDatabaseError(driver('ETIMEOUT', 'RequestError'), 'sync.X'), { failure: 'transient', number: '-2' })
})

t.test('a login that is refused: still down, and the advice is user and password', async (t) => {
  const refused = { failure: 'down', code: 'SYNC_LOGIN_REFUSED', advice: /user and password/ }
  t.match(toDatabaseError(driver('ELOGIN'), 'sync.X'), refused)
  t.match(toDatabaseError(driver('ELOGIN'), 'sync.X', 18456), { ...refused, number: '18456' })
  t.match(toDatabaseError(server(18456), 'sync.X'), { ...refused, number: '18456' })
})

t.test('what is behind a failed connection is named by its code', async (t) => {
  const behind = Object.assign(new Error('0770-SECRET'), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' })
  const tedious = Object.assign(new Error('0770-SECRET', { cause: behind }), { code: 'ESOCKET' })
  const error = toDatabaseError(Object.assign(driver('ESOCKET'), { originalError: tedious }), 'sync.X')
  t.equal(error.message, 'There is no connection to SQL Server for sync.X (ESOCKET, DEPTH_ZERO_SELF_SIGNED_CERT).')
})

t.test('nobody listens: said by the driver of each address, named once', async (t) => {
  const refused = Object.assign(new Error('0770-SECRET'), { code: 'ECONNREFUSED' })
  const cause = new AggregateError([refused, refused], '0770-SECRET')
  const error = toDatabaseError(Object.assign(driver('ESOCKET'), { cause }), 'sync.X')
  t.match(error.message, /\(ESOCKET, ECONNREFUSED\)\.$/)
})

t.test('no message repeats what the server or the driver said; the cause keeps it', async (t) => {
  for (const error of [
    server(2627),
    server(208),
    server(99999),
    driver('ESOCKET'),
    driver('EWHAT'),
    driver('EPARAM', 'RequestError'),
    new Error('0770-SECRET'),
  ]) {
    const told = toDatabaseError(error, 'sync.X')
    t.notMatch(told.message, /0770/)
    t.equal(told.cause, error)
  }
})

t.test('our own errors pass', async (t) => {
  const own = new SyncError('SYNC_CONFIG', 'x')
  t.equal(toDatabaseError(own, 'sync.X'), own)
})

const told = (number: number, message: string) => toDatabaseError(server(number, message), 'sync.X')
const conflict = (kind: string, constraint: string, place: string) =>
  `The INSERT statement conflicted with the ${kind} constraint "${constraint}". The conflict occurred in database "clinic", ${place}.`

t.test('a constraint, its table and its column are named; what kind it is decides the class', async (t) => {
  t.match(told(547, conflict('FOREIGN KEY', 'FK_a_b', `table "dbo.tblAlignerSets", column 'AlignerSetID'`)), {
    failure: 'transient',
    message:
      'SQL Server failed sync.X with error 547, constraint FK_a_b, table dbo.tblAlignerSets, column AlignerSetID: a record that it refers to is missing.',
  })
  t.match(told(547, conflict('CHECK', 'CK_days', `table "dbo.tblAlignerBatches", column 'Days'`)), {
    failure: 'permanent',
    message: /constraint CK_days, table dbo.tblAlignerBatches, column Days: violates a check constraint\.$/,
  })
  t.match(told(547, conflict('CHECK', 'CK_two', 'table "dbo.tblAlignerBatches"')), {
    failure: 'permanent',
    message: /error 547, constraint CK_two, table dbo.tblAlignerBatches: violates a check constraint\.$/,
  })
  t.match(told(547, conflict('REFERENCE', 'FK_x', `table "dbo.x", column 'y'`).replace('INSERT', 'DELETE')), {
    failure: 'permanent',
  })
  t.match(
    told(
      515,
      "Cannot insert the value NULL into column 'IsRead', table 'clinic.dbo.tblAlignerNotes'; column does not allow nulls. UPDATE fails.",
    ),
    {
      failure: 'permanent',
      message: /error 515, table clinic.dbo.tblAlignerNotes, column IsRead: must not be null\.$/,
    },
  )
})

t.test(
  'of a text that holds a value only the names before it are taken, and none from a text of another form',
  async (t) => {
    for (const [number, message, names] of [
      [
        2627,
        "Violation of UNIQUE KEY constraint 'UQ_a'. Cannot insert duplicate key in object 'dbo.b'. The duplicate key value is (in 'dbo.0770').",
        ', constraint UQ_a, table dbo.b',
      ],
      [
        2601,
        "Cannot insert duplicate key row in object 'dbo.b' with unique index 'IX_a'. The duplicate key value is ('0770', column '0770').",
        ', constraint IX_a, table dbo.b',
      ],
      [
        2628,
        "String or binary data would be truncated in table 'clinic.dbo.b', column 'c'. Truncated value: 'x', column '0770'.",
        ', table clinic.dbo.b, column c',
      ],
      [2627, "0770 Violation of UNIQUE KEY constraint '0770'. Cannot insert duplicate key in object '0770'.", ''],
      [547, `Konflikt mit "0770", table "0770", column '0770'`, ''],
      [50000, "Cannot insert the value NULL into column '0770', table '0770'", ''],
    ] as const) {
      const text = told(number, message).message
      t.equal(text.replace(/: [a-z ,']+\.$/, ''), `SQL Server failed sync.X with error ${number}${names}`)
    }
  },
)
