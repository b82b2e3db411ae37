import t from 'tap'
import { syncEventValidator as validator } from '../src/index.ts'

const upsert = {
  specversion: '1.0',
  id: 'clinic/aligner_notes/123/4711',
  source: 'clinic',
  type: 'sync.row.upserted.v1',
  subject: 'aligner_notes/123',
  time: '2026-01-31T08:15:30.123Z',
  data: {
    table: 'aligner_notes',
    key: 123,
    version: '4711',
    seen: '0',
    since: null,
    base: null,
    row: { note_id: 123, note_text: 'ملاحظة 😀', is_read: false, edited_at: null },
  },
}
const data = upsert.data
const remove = { ...upsert, type: 'sync.row.deleted.v1', data: { ...data, row: null } }
const portal = {
  ...upsert,
  source: 'portal',
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  data: { ...data, key: -1, version: '9223372036854775807', since: '4700', base: { note_text: '' } },
}

t.test('events of either side pass, as they are and after JSON', async (t) => {
  for (const event of [upsert, remove, portal]) {
    t.ok(validator.Check(event))
    t.ok(validator.Check(JSON.parse(JSON.stringify(event))))
  }
})

t.test('an event keeps fields that a later version may add', async (t) => {
  t.ok(validator.Check({ ...upsert, tracestate: 'x', data: { ...data, note: 1 } }))
})

const bad: Record<string, unknown> = {
  'not an object': 'x',
  nothing: null,
  'an unknown type': { ...upsert, type: 'sync.row.upserted.v2' },
  'an unknown source': { ...upsert, source: 'elsewhere' },
  'an upsert without a row': { ...upsert, data: { ...data, row: null } },
  'a delete with a row': { ...remove, data },
  'a key that is a string': { ...upsert, data: { ...data, key: '123' } },
  'a key beyond int': { ...upsert, data: { ...data, key: 2147483648 } },
  'a key with a fraction': { ...upsert, data: { ...data, key: 1.5 } },
  'a version as a number': { ...upsert, data: { ...data, version: 4711 } },
  'a version with a leading zero': { ...upsert, data: { ...data, version: '04711' } },
  'a negative version': { ...upsert, data: { ...data, version: '-1' } },
  'a version of twenty digits': { ...upsert, data: { ...data, version: '10000000000000000000' } },
  'a value with a fraction': { ...upsert, data: { ...data, row: { set_cost: 12.5 } } },
  'a number that JSON has rounded': { ...upsert, data: { ...data, row: { days: 2 ** 53 } } },
  'a value that is an object': { ...upsert, data: { ...data, row: { days: {} } } },
  'a base that is missing': { ...upsert, data: { ...data, base: undefined } },
  'a traceparent of another form': { ...upsert, traceparent: 'x' },
}
for (const [what, event] of Object.entries(bad)) {
  t.test(`refuses ${what}`, async (t) => t.notOk(validator.Check(event)))
}
