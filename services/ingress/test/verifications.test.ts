import type { Verification } from '@clinic-sync/contracts'
import type { KeyedRow, RecordState, Verifiable, Verifications } from '@clinic-sync/sync'
import { DatabaseError } from '@clinic-sync/sync'
import sensible from '@fastify/sensible'
import Fastify from 'fastify'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { options } from '../src/app.ts'
import { readBodies } from '../src/body.ts'
import { limitSources } from '../src/limits.ts'
import { verificationsRoute } from '../src/routes/verifications.ts'
import { Verifying } from '../src/status/verifying.ts'
import { until } from './help.ts'

const TOKEN = 'operator-token-0123456789'
const headers = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' }
const STATE: RecordState = { applied: '0', last: null, open: false, cause: null, editing: false }

/** A side with so many doctors. `gate`: what each read waits for. */
function side(rows: number, gate: { open: Promise<void> }): Verifiable & { readRows: () => Promise<KeyedRow[]> } {
  return {
    async readRows(...given: unknown[]) {
      await gate.open
      const [table, after] = given as [string, number | null]
      if (table !== 'aligner_doctors') return []
      return Array.from({ length: rows }, (_, i) => ({
        key: i + 1,
        row: { dr_id: i + 1, doctor_name: 'x', doctor_email: null, logo_path: null },
      })).filter(({ key }) => key > (after ?? 0))
    },
    recordStates: async (records) => records.map(() => STATE),
  }
}

async function start(t: Test, portalRows = 3) {
  const gate = { open: Promise.resolve() }
  const asked = { last: 0 }
  let kept: Verification[] = []
  let broken = false
  const store: Verifications = {
    async keepVerification(verification) {
      kept = [...kept, verification]
    },
    async lastVerification() {
      asked.last++
      if (broken) throw new DatabaseError('down', 'the portal is not there')
      return kept.at(-1) ?? null
    },
    rowEstimates: async () => new Map([['aligner_doctors', 3] as const]),
  }
  let changes = 0
  const verifying = new Verifying({
    clinic: side(3, gate),
    portal: { ...side(portalRows, gate), ...store },
    changed: () => void changes++,
    log: pino({ level: 'silent' }),
    patienceMs: 50,
    toldMs: 0,
  })
  const app = Fastify({ ...options })
  await app.register(sensible)
  await limitSources(app)
  readBodies(app)
  await app.register(verificationsRoute, { prefix: '/api/sync', verifying, token: TOKEN })
  t.teardown(() => app.close())
  const post = (payload = '{}', given: Record<string, string> = headers) =>
    app.inject({ method: 'POST', url: '/api/sync/verifications', headers: given, payload })
  return {
    app,
    verifying,
    gate,
    asked,
    post,
    kept: () => kept,
    keep: (verification: Verification) => (kept = [...kept, verification]),
    breaks: (is: boolean) => (broken = is),
    changes: () => changes,
  }
}

t.test('the operator starts one, and one runs at a time', async (t) => {
  const { verifying, gate, post, kept, changes } = await start(t)
  t.match(await post('{}', {}), { statusCode: 401 })
  t.match(await post('{"kept": false}'), { statusCode: 400 })
  t.match(await verifying.part(), { last: null, running: null })
  let open = () => {}
  gate.open = new Promise((resolve) => (open = resolve))
  const first = await post()
  t.equal(first.statusCode, 202)
  t.match((await verifying.part()).running, { startedAt: first.json<{ startedAt: string }>().startedAt, rows: 0 })
  t.match(await post(), { statusCode: 409 })
  t.equal(kept().length, 0)
  open()
  await until('it is kept', () => kept().length === 1)
  await until('it has ended', async () => (await verifying.part()).running === null)
  t.match(await verifying.part(), { last: { rows: 3, differences: 0, complete: true }, running: null })
  t.ok(changes() >= 3, 'those who watch are told of its beginning, of how far it is, and of its end')
  t.match(await post(), { statusCode: 202 }, 'and another one may follow')
  await until('it is kept', () => kept().length === 2)
})

t.test('what differs is counted, and kept', async (t) => {
  const { verifying, post } = await start(t, 2)
  await post()
  await until('it is kept', async () => (await verifying.part()).last !== null)
  t.match((await verifying.part()).last, {
    rows: 3,
    differences: 1,
    tables: [{ table: 'aligner_doctors', differences: 1 }],
  })
})

t.test('the last result is read once, and again when a command has kept one', async (t) => {
  const { verifying, asked, post, keep, breaks } = await start(t)
  breaks(true)
  await t.rejects(verifying.part(), { message: 'the portal is not there' })
  breaks(false)
  for (let i = 0; i < 5; i++) await verifying.part()
  t.equal(asked.last, 2, 'what failed is tried again, what was read is not')
  const through = '2026-01-31T08:00:00.000Z'
  keep({ through, finishedAt: through, complete: true, rows: 9, differences: 0, inFlight: 0, tables: [] })
  t.match(await verifying.part(), { last: null })
  t.match(await post('{"kept": true}'), { statusCode: 204 })
  t.match(await verifying.part(), { last: { through, rows: 9 }, running: null })
  t.equal(asked.last, 3)
})

t.test('one that runs while the ingress ends ends with it, and keeps nothing', async (t) => {
  const { app, gate, post, kept, verifying } = await start(t)
  let open = () => {}
  gate.open = new Promise((resolve) => (open = resolve))
  await post()
  const ended = verifying.stop()
  open()
  await ended
  t.equal(kept().length, 0)
  t.equal(verifying.start(), null, 'and none begins any more')
  await app.close()
})
