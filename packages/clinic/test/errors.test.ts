import { toDatabaseError } from '@clinic-sync/clinic'
import { SyncError } from '@clinic-sync/sync'
import t from 'tap'

const server = (number: number, message = 'Violation for value 0770-SECRET') =>
  Object.assign(new Error(message), { name: 'RequestError', code: 'EREQUEST', number })
const driver = (code: string, name = 'ConnectionError') => Object.assign(new Error('0770-SECRET'), { name, code })

t.test('the class of a server error', async (t) => {
  for (const [failure, numbers] of Object.entries({
    transient: [1205, 1222, 3960, 8645, 701, 601, 9002, 40501],
    parent: [547],
    permanent: [2627, 2601, 515, 8152, 2628, 245, 8114, 8115, 50000],
    down: [40613, 4060, 18456, 233, 17142, 942],
  })) {
    for (const number of numbers) {
      t.match(toDatabaseError(server(number), 'sync.X'), { failure, number: String(number), code: /^SYNC_DATABASE/ })
    }
  }
})

t.test('what is missing in the database means that it is not migrated', async (t) => {
  for (const number of [208, 2812, 229]) {
    t.match(toDatabaseError(server(number), 'sync.X'), { failure: 'down', code: 'SYNC_NOT_MIGRATED' })
  }
})

t.test('failures of the connection', async (t) => {
  for (const code of ['ESOCKET', 'ECONNCLOSED', 'ECONNREFUSED', 'EINSTLOOKUP', 'ETIMEOUT', 'ELOGIN']) {
    t.match(toDatabaseError(driver(code), 'sync.X'), { failure: 'down', code: 'SYNC_DATABASE_DOWN' }, code)
  }
  t.match(toDatabaseError(driver('TIMEOUT', 'TimeoutError'), 'sync.X'), { failure: 'down' })
  t.match(toDatabaseError(driver('ELOGIN'), 'sync.X', 4060), { number: '4060', message: /4060/ })
  t.match(toDatabaseError(driver('ETIMEOUT', 'RequestError'), 'sync.X'), { failure: 'transient', number: '-2' })
})

t.test('no message repeats what the server or the driver said; the cause keeps it', async (t) => {
  for (const error of [
    server(2627),
    server(208),
    server(99999),
    driver('ESOCKET'),
    driver('EWHAT'),
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
