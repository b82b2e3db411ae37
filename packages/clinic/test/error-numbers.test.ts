import { openClinic } from '@clinic-sync/clinic'
import { testClinic } from '@clinic-sync/dev-services/testing'
import { DatabaseError } from '@clinic-sync/sync'
import { pino } from 'pino'
import t from 'tap'
import { SQL_SERVER_RULES } from '../../sync/src/failure/sql-server.ts'

const SECRET = 'Zaynab-4711'
const simulator = await testClinic(t)
const clinic = await openClinic({
  url: simulator.serviceUrl,
  timeZone: 'Asia/Baghdad',
  log: pino({ level: 'silent' }),
})
t.teardown(() => clinic.close())

/** What the driver makes of an error of the server's, in our words. */
async function told(number: number, severity = 16): Promise<DatabaseError> {
  simulator.failWith({ number, message: SECRET, severity })
  const error = await clinic.takeChanges(1).then(
    () => undefined,
    (error: unknown) => error,
  )
  simulator.failWith(null)
  if (!(error instanceof DatabaseError))
    throw new Error(`${number} went through, or is no DatabaseError`, { cause: error })
  return error
}

t.test(
  'each number of the table, sent by a server, has its class, and says nothing else of the server’s',
  async (t) => {
    await clinic.check()
    for (const { code, failure } of SQL_SERVER_RULES) {
      // The driver's own limit: no server sends it.
      if (code === '-2') continue
      const error = await told(Number(code))
      t.equal(error.number, code)
      t.equal(error.failure, failure, code)
      t.notMatch(error.message, SECRET)
    }
    await clinic.check()
  },
)

t.test('a number that is not in the table goes by the severity that travels with it', async (t) => {
  for (const [severity, failure] of [
    [13, 'transient'],
    [14, 'down'],
    [16, 'permanent'],
    [17, 'down'],
    [19, 'down'],
  ] as const) {
    t.equal((await told(33_333, severity)).failure, failure, `severity ${severity}`)
  }
})
