import { openDeadLetterBox } from '@clinic-sync/broker'
import type {
  DeadLetterDiscard,
  DeadLetterExplanations,
  DeadLetterList,
  DeadLetterRehearsals,
  DeadLetterReplay,
} from '@clinic-sync/contracts'
import pg from 'pg'
import t from 'tap'
import { until } from './help.ts'
import { pageStage } from './page-stage.ts'

const stage = await pageStage(t)
const { ask, settled, staff, admin, lines, url } = stage
const SECRET = 'Secret-of-a-patient'

const forbid = () =>
  admin.query(`ALTER TABLE aligner_doctors ADD CONSTRAINT no_secret CHECK (doctor_name NOT LIKE 'Secret%') NOT VALID`)
const allow = () => admin.query('ALTER TABLE aligner_doctors DROP CONSTRAINT no_secret')
const insert = (n: number) => staff.batch(`INSERT INTO dbo.AlignerDoctors (DoctorName) VALUES (N'${SECRET} ${n}')`)
const list = async () => (await ask<DeadLetterList>('/dead-letters')).body
const ids = async () => (await list()).letters.map(({ id }) => id)

t.test('none: nothing to show', async (t) => {
  t.strictSame(await list(), { letters: [], total: 0, unasked: [] })
})

t.test('listed, explained and rehearsed with the ingress’s own login, and no value', async (t) => {
  await forbid()
  for (const n of [1, 2, 3]) await insert(n)
  await settled()
  const { letters, total, unasked } = await list()
  t.equal(total, 3)
  t.same(unasked, [])
  t.match(letters[0], { table: 'aligner_doctors', cause: '23514', standing: 'standing', outboxStatus: 'Failed' })
  const all = letters.map(({ id }) => id)
  const explained = await ask<DeadLetterExplanations>('/dead-letters/explain', { ids: [...all, 'gone'] })
  t.equal(explained.status, 200)
  t.match(explained.body.explanations[0], { id: all[0], parts: [{ heading: 'What' }, { heading: 'Why' }] })
  t.match(explained.body.explanations[3], { id: 'gone', parts: [{ sentences: [/no such dead letter any more/] }] })
  const rehearsed = await ask<DeadLetterRehearsals>('/dead-letters/rehearse', { ids: [...all, 'gone'] })
  t.equal(rehearsed.status, 200)
  t.match(rehearsed.body.rehearsed[0], { id: all[0], code: '23514', passes: false, reason: /no_secret/ })
  t.match(rehearsed.body.rehearsed[3], { id: 'gone', outcome: 'unfit', passes: false })
  await allow()
  const again = await ask<DeadLetterRehearsals>('/dead-letters/rehearse', { ids: all })
  t.match(again.body.rehearsed[0], { outcome: 'applied', passes: true, columns: ['dr_id', 'doctor_name'] })
  t.same((await admin.query('SELECT dr_id FROM aligner_doctors')).rows, [], 'nothing of it has stayed')
  await forbid()
  const told = [JSON.stringify(letters), explained.text, rehearsed.text, again.text].join('')
  t.notOk(told.includes(SECRET))
})

t.test('a replay stops at the first that fails again; cured, all go through', async (t) => {
  const stopped = await ask<DeadLetterReplay>('/dead-letters/replay', { ids: await ids() })
  t.equal(stopped.status, 200)
  t.match(stopped.body, {
    sent: 1,
    outcomes: { dead: 1 },
    unfit: [],
    stopped: { what: 'dead', code: '23514' },
    left: 2,
  })
  await allow()
  await until('all lie there again', async () => (await ids()).length === 3)
  const replayed = await ask<DeadLetterReplay>('/dead-letters/replay', { ids: [...(await ids()), 'gone'] })
  t.match(replayed.body, { sent: 3, outcomes: { applied: 3 }, unfit: [{ id: 'gone' }], stopped: null, left: 0 })
  t.equal((await admin.query('SELECT dr_id FROM aligner_doctors')).rows.length, 3)
  t.same(await ids(), [])
})

t.test('discarded: the outbox says who and why; what is gone is said', async (t) => {
  await forbid()
  await insert(4)
  await settled()
  const some = await ids()
  const refused = await ask('/dead-letters/discard', { ids: some, who: ' ', why: 'over' })
  t.match(refused, { status: 400, body: { field: 'who' } })
  const discarded = await ask<DeadLetterDiscard>('/dead-letters/discard', {
    ids: [...some, 'gone'],
    who: 'Sara',
    why: 'the practice has closed',
  })
  t.match(discarded, { status: 200, body: { discarded: 1, refused: [{ id: 'gone' }] } })
  const rows = await staff.batch("SELECT LastError FROM dbo.SyncQueue WHERE Status = 'Failed'")
  t.match(rows, [{ LastError: /^SYNC_DISCARDED: by Sara: the practice has closed \(was 23514\)/ }])
  t.same(await ids(), [])
})

t.test('while somebody else has them in hand: 409, in a sentence; and afterwards they are all there', async (t) => {
  for (const n of [5, 6]) await insert(n)
  await settled()
  const box = await openDeadLetterBox({ url: stage.urlOf('operator'), name: 'an operator' })
  const busy = await Promise.all([ask('/dead-letters'), ask('/dead-letters/replay', { ids: ['x'] })])
  for (const each of busy) {
    t.match(each, {
      status: 409,
      body: { code: 'SYNC_DEAD_LETTERS_BUSY', message: /has been at work on the dead letters/ },
    })
  }
  await box.close()
  t.equal((await ids()).length, 2)
})

t.test('two at a time: one after the other', async (t) => {
  const some = await ids()
  const [one, two] = await Promise.all([
    ask<DeadLetterRehearsals>('/dead-letters/rehearse', { ids: some }),
    ask<DeadLetterList>('/dead-letters'),
  ])
  t.equal(one.body.rehearsed.length, 2)
  t.equal(two.body.total, 2)
})

t.test(
  'a page that is closed during a replay ends it between two steps, and the log says how far it came',
  async (t) => {
    await allow()
    for (const n of [7, 8, 9]) await insert(n)
    await forbid()
    await settled()
    await allow()
    const all = await ids()
    t.equal(all.length, 5)
    // What is sent first waits for a consumer.
    await stage.consumers['sql-to-postgres'].close()
    const closed = new AbortController()
    const asked = ask('/dead-letters/replay', { ids: all }, closed.signal)
    asked.catch(() => undefined)
    const waiting = async () =>
      (await stage.broker.queueDepths()).some(
        ({ queue, messages }) => /^sync[.]sql-to-postgres[.]p/.test(queue) && messages > 0,
      )
    await until('the first is sent', waiting)
    closed.abort()
    await t.rejects(asked)
    await until('it is said', () => lines.some(({ msg }) => msg.startsWith('a replay of dead letters was ended')))
    t.match(
      lines.find(({ msg }) => msg.startsWith('a replay of dead letters was ended')),
      { sent: 1, left: 4 },
    )
    t.equal((await ids()).length, 4, 'the others lie where before')
  },
)

t.test('bounded: 200 ids, 64 kB, and nothing but what is declared', async (t) => {
  const many = Array.from({ length: 201 }, (_, n) => `x${n}`)
  for (const what of ['explain', 'rehearse', 'replay', 'discard']) {
    const path = `/dead-letters/${what}`
    const why = what === 'discard' ? { who: 'x', why: 'y' } : {}
    t.match(await ask(path, { ids: many, ...why }), { status: 400, body: { field: 'ids' } }, what)
    t.match(await ask(path, { ids: [], ...why }), { status: 400, body: { field: 'ids' } })
    t.match(await ask(path, { ids: ['x'.repeat(70_000)] }), { status: 413 })
    t.match(await ask(path, { ids: ['x'], ...why, more: 1 }), { status: 400 })
    const wrong = await fetch(`${url}/api/sync${path}`, { method: 'POST', body: '{"ids":["x"]}' })
    t.equal(wrong.status, 401)
  }
})

t.test('a database that is away: its letters are listed all the same; RabbitMQ away: 503, in a sentence', async (t) => {
  const [id = ''] = await ids()
  stage.simulator.pause()
  const { body: listed } = await ask<DeadLetterList>('/dead-letters')
  t.equal(listed.total, 4)
  t.match(listed.unasked, [/^Not known for sql-to-postgres: .*did not answer within/])
  stage.simulator.resume()
  const server = new pg.Client(Object.assign(new URL(stage.postgres.url), { pathname: '/postgres' }).href)
  await server.connect()
  const { rows } = await admin.query('SELECT pg_backend_pid() AS own')
  await server.query(`ALTER DATABASE ${stage.postgres.name} ALLOW_CONNECTIONS false`)
  const others = 'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> $2'
  await server.query(others, [stage.postgres.name, rows[0].own])
  t.match(await ask('/dead-letters/rehearse', { ids: [id] }), { status: 503, body: { code: /^SYNC_/, message: /\w/ } })
  await server.query(`ALTER DATABASE ${stage.postgres.name} ALLOW_CONNECTIONS true`)
  await server.end()
  await stage.rabbit.stop()
  const before = performance.now()
  for (const each of await Promise.all([ask('/dead-letters'), ask('/dead-letters/replay', { ids: [id] })])) {
    t.match(each, { status: 503, body: { code: 'SYNC_BROKER_DOWN', message: /^RabbitMQ: .*Check that RabbitMQ runs/ } })
  }
  t.ok(performance.now() - before < 10_000)
})

t.test('no log line has a value', async (t) => {
  t.notOk(JSON.stringify(lines).includes(SECRET))
  t.ok(lines.some(({ msg }) => msg === 'dead letters were replayed from the status page'))
})
