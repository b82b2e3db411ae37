import t from 'tap'
import { outcomeBatchValidator as validator } from '../src/index.ts'

const outcome = { table: 'patients', key: 1, version: '2', outcome: 'applied' }
const batch = { direction: 'sql-to-postgres', outcomes: [outcome] }

t.test('every kind of outcome passes', async (t) => {
  for (const kind of ['applied', 'duplicate', 'stale', 'unchanged', 'conflict', 'retry', 'dead']) {
    t.ok(validator.Check({ ...batch, outcomes: [{ ...outcome, outcome: kind }] }), kind)
  }
  t.ok(validator.Check({ ...batch, outcomes: [] }), 'none at all')
  t.ok(validator.Check({ ...batch, outcomes: [{ ...outcome, outcome: 'dead', code: '23505', reason: 'x' }] }))
})

t.test('others are refused', async (t) => {
  t.notOk(validator.Check({ ...batch, direction: 'both' }), 'a direction that is not one')
  t.notOk(validator.Check({ ...batch, outcomes: [{ ...outcome, outcome: 'queued' }] }), 'queued is no outcome')
  t.notOk(validator.Check({ ...batch, outcomes: [{ ...outcome, version: 2 }] }), 'a version as a number')
  t.notOk(validator.Check({ ...batch, outcomes: [{ ...outcome, reason: 'x'.repeat(1001) }] }), 'a reason without end')
  t.notOk(validator.Check({ direction: 'sql-to-postgres' }), 'no outcomes')
})
