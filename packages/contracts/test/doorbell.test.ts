import t from 'tap'
import {
  directionFrom,
  directionsOf,
  doorbellTestResponseValidator,
  queueNotifyValidator,
  sourceOf,
  supabaseWebhookValidator,
  triggerRequestValidator,
} from '../src/index.ts'

t.test('a Supabase webhook', async (t) => {
  const sent = { type: 'UPDATE', table: 'aligner_notes', schema: 'public', record: { id: 1 }, old_record: { id: 1 } }
  const good = [
    sent,
    { ...sent, type: 'INSERT', old_record: null },
    { ...sent, type: 'DELETE', record: null },
    { ...sent, something: 'new' },
    { table: 'aligner_notes', type: 'INSERT', record: {} },
  ]
  for (const body of good) t.ok(supabaseWebhookValidator.Check(body), JSON.stringify(body))
  const bad = [
    null,
    [],
    {},
    { ...sent, type: 'TRUNCATE' },
    { ...sent, table: 7 },
    { ...sent, table: '' },
    { ...sent, table: 'x'.repeat(64) },
    { ...sent, schema: null },
    { ...sent, record: 'x' },
    { ...sent, old_record: [] },
  ]
  for (const body of bad) t.notOk(supabaseWebhookValidator.Check(body), JSON.stringify(body))
})

t.test('a queue notification is an object of any kind', async (t) => {
  for (const body of [{}, { source: 'SQLServer', queueId: 1 }]) t.ok(queueNotifyValidator.Check(body))
  for (const body of [null, [], 'x', 1, true]) t.notOk(queueNotifyValidator.Check(body), JSON.stringify(body))
})

t.test('a trigger names one direction, both, or none', async (t) => {
  t.same(directionsOf({ direction: 'sql-to-postgres' }), ['sql-to-postgres'])
  t.same(directionsOf({ direction: 'postgres-to-sql' }), ['postgres-to-sql'])
  t.same(directionsOf({ direction: 'both' }), ['sql-to-postgres', 'postgres-to-sql'])
  t.same(directionsOf({}), ['sql-to-postgres', 'postgres-to-sql'])
  for (const body of [{}, { direction: 'both' }]) t.ok(triggerRequestValidator.Check(body))
  for (const body of [null, { direction: 'up' }, { direction: null }, { direktion: 'both' }, []]) {
    t.notOk(triggerRequestValidator.Check(body), JSON.stringify(body))
  }
})

t.test('the answer of a doorbell test', async (t) => {
  const heard = { doorbell: 'service-broker', heard: true, ms: 4, message: null }
  const silent = { doorbell: 'http', heard: false, ms: null, message: 'Nothing of ours rings.' }
  for (const answer of [{}, { clinic: heard }, { clinic: silent, portal: heard }])
    t.ok(doorbellTestResponseValidator.Check(answer))
  for (const answer of [null, { clinic: null }, { clinic: { ...heard, ms: -1 } }, { portal: { heard: true } }])
    t.notOk(doorbellTestResponseValidator.Check(answer), JSON.stringify(answer))
})

t.test('a direction and its source belong together', async (t) => {
  t.equal(directionFrom('clinic'), 'sql-to-postgres')
  t.equal(directionFrom('portal'), 'postgres-to-sql')
  for (const direction of ['sql-to-postgres', 'postgres-to-sql'] as const) {
    t.equal(directionFrom(sourceOf(direction)), direction)
  }
})
