import t from 'tap'
import { AMQP_RULES } from '../src/failure/amqp.ts'
import { DRIVER_RULES } from '../src/failure/drivers.ts'
import { POSTGRES_RULES } from '../src/failure/postgres.ts'
import { SQL_SERVER_RULES } from '../src/failure/sql-server.ts'
import {
  ADVICE,
  amqpFailure,
  driverFailure,
  explainFailure,
  natureOf,
  postgresFailure,
  sqlServerFailure,
} from '../src/index.ts'
import { failuresDocument } from './support/failures-document.ts'

t.test('docs/failures.md has the tables as they are (npm run generate)', async (t) => {
  const { is, should } = await failuresDocument()
  t.equal(is, should)
})

t.test('no code is in a table twice, and none is both an SQLSTATE and an error number', async (t) => {
  for (const rules of [POSTGRES_RULES, SQL_SERVER_RULES, DRIVER_RULES, AMQP_RULES]) {
    t.equal(new Set(rules.map(({ code }) => code)).size, rules.length)
    for (const { code, words } of rules) t.match(words, /^(a |[a-zA-Z])[^.]*$/, code)
  }
  const states = POSTGRES_RULES.filter(({ code }) => code.length === 5).map(({ code }) => code)
  t.strictSame(
    SQL_SERVER_RULES.filter(({ code }) => states.includes(code)),
    [],
  )
  // As long as nobody says which side it is.
  for (const { code, nature } of SQL_SERVER_RULES) t.equal(natureOf(code, undefined), nature, code)
  for (const { code, nature } of POSTGRES_RULES) if (code.length === 5) t.equal(natureOf(code, undefined), nature, code)
})

t.test('what a trigger of the clinic throws is a number, though it may look like an SQLSTATE', async (t) => {
  for (const [code, portal] of [
    ['53200', 'narrow'],
    ['57014', 'doubtful'],
  ] as const) {
    t.equal(natureOf(code, 'portal'), portal, code)
    t.equal(natureOf(code, 'clinic'), sqlServerFailure(Number(code)).nature, code)
    t.not(natureOf(code, 'clinic'), portal, code)
  }
})

t.test('the longest beginning of an SQLSTATE counts', async (t) => {
  for (const [state, failure] of [
    ['23503', 'parent'],
    ['23001', 'parent'],
    ['23505', 'permanent'],
    ['23999', 'permanent'],
    ['22P02', 'permanent'],
    ['40P01', 'transient'],
    ['40002', 'transient'],
    ['53100', 'down'],
    ['53200', 'down'],
    ['53999', 'down'],
    ['58030', 'down'],
    ['57014', 'transient'],
    ['57P05', 'down'],
    ['42501', 'down'],
    ['0A000', 'down'],
    ['54001', 'permanent'],
    ['XX000', 'transient'],
    ['XX001', 'down'],
    ['P0001', 'permanent'],
    ['ZZ123', 'transient'],
  ] as const) {
    t.equal(postgresFailure(state).failure, failure, state)
  }
})

t.test(
  'what ended the session is down, whatever its state says; and so is a server that takes no writes',
  async (t) => {
    t.match(postgresFailure('XX000', { severity: 'FATAL' }), { failure: 'down', words: /internal/ })
    t.equal(postgresFailure('40001', { severity: 'ERROR' }).failure, 'transient')
    t.equal(postgresFailure('54000', { routine: 'index_form_tuple' }).failure, 'permanent')
    t.match(postgresFailure('54000', { routine: 'GetNewTransactionId' }), { failure: 'down', advice: /VACUUM/ })
  },
)

t.test('a constraint of SQL Server: its kind decides', async (t) => {
  t.equal(sqlServerFailure(547).failure, 'transient')
  t.equal(sqlServerFailure(547, { constraint: 'CHECK' }).failure, 'permanent')
  t.equal(sqlServerFailure(547, { constraint: 'REFERENCE' }).failure, 'permanent')
})

t.test('of RabbitMQ nothing is permanent; what it says is found by code or by words', async (t) => {
  t.strictSame(
    AMQP_RULES.filter(({ failure }) => failure !== 'down'),
    [],
  )
  t.match(amqpFailure(403, 'whatever'), { words: /refuses the user/ })
  t.match(amqpFailure(undefined, 'message nacked'), { error: 'SYNC_PUBLISH_REFUSED' })
  t.match(amqpFailure(undefined, 'Socket closed abruptly during opening handshake'), { words: /while it was made/ })
  t.match(amqpFailure(undefined, 'anything'), { failure: 'down', error: 'SYNC_BROKER_DOWN' })
})

t.test('a code is explained to a person', async (t) => {
  t.match(explainFailure('23505'), { failure: 'permanent', words: 'must be unique', advice: /correct one of them/ })
  t.match(explainFailure('1105'), { failure: 'down', advice: /disk space/ })
  t.match(explainFailure('40001', 'portal'), { words: 'another transaction went first' })
  t.match(explainFailure('23505', 'clinic'), { words: 'refused by the server' })
  t.match(explainFailure('99999', 'clinic'), { failure: 'permanent' })
  t.match(explainFailure('EPIPE'), { failure: 'down' })
  t.match(explainFailure('SYNC_BAD_VALUE'), { failure: undefined, advice: ADVICE.SYNC_BAD_VALUE })
  t.match(explainFailure('TypeError'), { failure: undefined, advice: ADVICE.SYNC_UNFORESEEN })
  t.match(explainFailure('28P01'), { advice: ADVICE.SYNC_LOGIN_REFUSED })
  t.equal(driverFailure('EWHAT'), undefined)
})
