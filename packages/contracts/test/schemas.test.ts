import t from 'tap'
import { Compile } from 'typebox/compile'
import { Settings } from 'typebox/system'
import * as contracts from '../src/index.ts'
import { type Validator, validatorFor } from '../src/index.ts'
import { schemas } from './support/schemas-file.ts'

t.test('src/schemas.ts is what the definitions say: npm run generate', async (t) => {
  for (const [name, schema] of schemas())
    t.strictSame(JSON.stringify(contracts[name as keyof typeof contracts]), JSON.stringify(schema), name)
})

const event = {
  specversion: '1.0',
  id: 'portal/aligner_notes/-1/4711',
  source: 'portal',
  type: 'sync.row.upserted.v1',
  subject: 'aligner_notes/-1',
  time: '2026-01-31T08:15:30.123Z',
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  tracestate: 'a=1',
  data: {
    table: 'aligner_notes',
    key: -1,
    version: '4711',
    seen: '0',
    since: '4700',
    base: { note_text: '' },
    row: { note_id: -1, note_text: 'ملاحظة 😀', is_read: false, edited_at: null },
  },
}
const outcome = { table: 'works', key: 7, version: '12', outcome: 'dead', code: '23514', reason: 'too long' }
const part = { reachable: false, reason: 'down' }
const queues = { reachable: true, queues: [{ name: 'q', messages: 1, consumers: 0 }], missing: ['r'] }
const verification = {
  through: event.time,
  finishedAt: event.time,
  complete: true,
  rows: 2,
  differences: 1,
  inFlight: 0,
  tables: [{ table: 'works', clinicRows: 2, portalRows: 1, kept: 0, differences: 1, stuck: 0, inFlight: 0 }],
}
const status = {
  ok: true,
  problems: ['none'],
  at: event.time,
  ingress: part,
  outboxes: { clinic: part, portal: part },
  queues,
  deadLetters: { reachable: true, letters: 1, causes: [{ direction: null, cause: 'x', letters: 1, superseded: 0 }] },
  verification: { reachable: true, last: verification, running: { startedAt: event.time, rows: 1, of: null } },
}
const SAMPLES: Readonly<Record<string, readonly unknown[]>> = {
  SyncEvent: [event, { ...event, type: 'sync.row.deleted.v1', data: { ...event.data, row: null } }],
  OutcomeBatch: [
    { direction: 'sql-to-postgres', outcomes: [outcome, { ...outcome, outcome: 'applied' }] },
    { direction: 'postgres-to-sql', outcomes: [], latency: { medianMs: 3, worstMs: 12 } },
  ],
  DeadLetterDiscardRequest: [{ ids: ['x'], who: 'operator', why: 'over' }],
  LeaderQuestion: [{ ask: 'who' }, { ask: 'drain', side: 'clinic' }],
  LeaderAnswer: [
    { working: true },
    { leader: { host: 'h', pid: 1, since: event.time } },
    { drained: { published: 0 } },
  ],
  SupabaseWebhook: [{ type: 'INSERT', table: 'x', schema: 'public', record: {}, old_record: null }],
  TriggerRequest: [{}, { direction: 'both' }],
  DoorbellTestResponse: [{ clinic: { doorbell: 'listen', heard: true, ms: 1, message: null } }],
  SyncStatus: [status],
  VerificationRequest: [{}, { kept: true }],
}
const STRANGE = [
  undefined,
  null,
  true,
  false,
  0,
  -1,
  1.5,
  2 ** 31,
  2 ** 53,
  Number.NaN,
  '',
  'x',
  '1',
  '01',
  '😀'.repeat(63),
  '😀'.repeat(64),
  'x'.repeat(63),
  'x'.repeat(64),
  'x'.repeat(1001),
  '9'.repeat(19),
  '9'.repeat(20),
  [],
  {},
  [null],
  { a: 1 },
  { 'a\nb': {}, c: {} },
]

/** The value with each of its parts replaced by each strange value, left out, or joined by one too many. */
function* bent(value: unknown): Generator<unknown> {
  yield* STRANGE
  if (typeof value !== 'object' || value === null) return
  for (const [key, part] of Object.entries(value)) {
    const others = Object.entries(value).filter(([other]) => other !== key)
    const bend = (other: unknown) => {
      if (!Array.isArray(value)) return { ...value, [key]: other }
      return value.map((each: unknown, i) => (String(i) === key ? other : each))
    }
    for (const other of bent(part)) yield bend(other)
    if (!Array.isArray(value)) yield Object.fromEntries(others)
  }
  if (!Array.isArray(value)) yield { ...value, more: 1 }
}

const named = (errors: readonly { instancePath: string }[]) =>
  [...new Set(errors.map(({ instancePath }) => instancePath))].toSorted().join()

t.test('values pass and fail as TypeBox has it, and the same fields are named', async (t) => {
  // It would stop at eight.
  Settings.Set({ maxErrors: 1000 })
  for (const [name, schema] of schemas()) {
    const reference = Compile(schema)
    const own: Validator<unknown> = validatorFor(schema)
    const samples = SAMPLES[name] ?? []
    for (const sample of samples) t.ok(own.Check(sample), name)
    const differing = [...samples, undefined]
      .flatMap((sample) => [...bent(sample)])
      .filter((value) => {
        if (own.Check(value) !== reference.Check(value)) return true
        return !own.Check(value) && named(own.Errors(value)) !== named(reference.Errors(value))
      })
    t.strictSame(differing, [], name)
  }
})

t.test('a schema that it cannot check is refused when it is made', async (t) => {
  t.throws(() => validatorFor({ type: 'string', format: 'date' }), /do not know format/)
  t.throws(() => validatorFor({}), /without a type/)
})
