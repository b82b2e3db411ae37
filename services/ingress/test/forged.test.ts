import { randomBytes } from 'node:crypto'
import { signWebhook } from '@clinic-sync/contracts'
import t from 'tap'
import { until } from './help.ts'
import { KEY, portalBench, SECRET } from './portal-bench.ts'

const bench = await portalBench(t, 'webhook')
const { doctor, events } = bench

/** A record that the portal would take, and the clinic too: a valid new key, a set that exists, a type that is allowed. */
const NOTE = {
  note_id: -77,
  aligner_set_id: 1,
  note_type: 'Doctor',
  note_text: 'FORGED',
  created_at: '2026-01-31T08:15:30.123+00:00',
  is_edited: false,
  edited_at: null,
  is_read: false,
}
const BATCH = { aligner_batch_id: 1, aligner_set_id: 1, batch_sequence: 1, days: 99 }
const BODIES = [
  { type: 'INSERT', table: 'aligner_notes', schema: 'public', record: NOTE, old_record: null },
  { type: 'UPDATE', table: 'aligner_notes', schema: 'public', record: { ...NOTE, note_id: 1 }, old_record: NOTE },
  { type: 'DELETE', table: 'aligner_notes', schema: 'public', record: null, old_record: { ...NOTE, note_id: 1 } },
  { type: 'UPDATE', table: 'aligner_batches', schema: 'public', record: BATCH, old_record: { ...BATCH, days: 10 } },
].map((body) => JSON.stringify(body))

const post = async (body: string, headers: Record<string, string>) =>
  (await fetch(`${bench.url}/api/sync/webhook`, { method: 'POST', headers, body })).status

/** A drain that began after everything that was sent: whatever a webhook started is over. */
async function drained() {
  const headers = { authorization: `Bearer ${SECRET}` }
  const answer = await fetch(`${bench.url}/api/sync/trigger`, { method: 'POST', headers })
  return (await answer.json()) as Record<string, { published: number }>
}

t.test('a webhook with a record that would be valid writes nothing, whoever sends it', async (t) => {
  const before = await bench.contents()
  const proven = (body: string) => [{ 'x-sync-secret': SECRET }, signWebhook([KEY], body)]
  const forged = (body: string): Record<string, string>[] => [
    {},
    { 'x-sync-secret': 'a guess of some length' },
    signWebhook([randomBytes(32)], body),
    signWebhook([KEY], `${body} `),
    signWebhook([KEY], body, { now: Date.now() - 600_000 }),
  ]
  for (const body of BODIES) {
    for (const headers of proven(body)) t.equal(await post(body, headers), 202)
    for (const headers of forged(body)) t.equal(await post(body, headers), 401)
    const once = signWebhook([KEY], body)
    t.equal(await post(body, once), 202)
    t.equal(await post(body, once), 409, 'a replay')
  }
  t.strictSame(await drained(), { 'sql-to-postgres': { published: 0 }, 'postgres-to-sql': { published: 0 } })
  t.same(await bench.contents(), before, 'tables, outbox and bookkeeping are as they were')
  t.same([bench.clinic.rows, bench.clinic.published], [[], []], "so is the clinic's outbox")
  t.same(events, [], 'and there was no event')
})

t.test('a true change that a webhook rings for is read from the outbox, not from the webhook', async (t) => {
  await doctor.query("UPDATE aligner_notes SET note_text = 'true' WHERE note_id = 1")
  for (const body of BODIES) t.equal(await post(body, signWebhook([KEY], body)), 202)
  await until('it arrives', () => events.length > 0)
  await bench.settled()
  t.same(await drained(), { 'sql-to-postgres': { published: 0 }, 'postgres-to-sql': { published: 0 } })
  t.match(events, [
    { subject: 'aligner_notes/1', data: { row: { note_text: 'true' }, base: { note_text: 'please check 16' } } },
  ])
  t.equal(events.length, 1)
  t.notMatch(JSON.stringify([events, bench.logs.lines]), /FORGED/)
})
