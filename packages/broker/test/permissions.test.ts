import { randomBytes } from 'node:crypto'
import { createVhost, managementCall } from '@clinic-sync/dev-services'
import { testRabbitServer } from '@clinic-sync/dev-services/testing'
import { type ChannelModel, type ConfirmChannel, connect } from 'amqplib'
import t from 'tap'
import {
  BROKER_USERS,
  type BrokerUser,
  browseDeadLetters,
  deadQueue,
  declareBroker,
  eventQueue,
  inspectBroker,
  openDeadLetterBox,
  openSender,
  outcomeQueue,
  rabbitmqDefinitions,
  watchOutcomes,
  watchRecord,
} from '../src/index.ts'
import { keepLines, note, testBroker, until } from './support/helpers.ts'

const { url: server, managementUrl = '' } = await testRabbitServer(t)
// Of characters that a URL and a shell would mind.
const passwords = Object.fromEntries(
  BROKER_USERS.map((user) => [user, `${randomBytes(9).toString('base64')}@:/%+ `]),
) as Record<BrokerUser, string>
const retryDelaysMs = [50, 100, 150]
const definitions = rabbitmqDefinitions({ passwords, retryDelaysMs })
await managementCall(managementUrl, 'POST', 'definitions', definitions)

const [own, other] = ['sql-to-postgres', 'postgres-to-sql'] as const
const done = { check: () => Promise.resolve() }
const record = note(1, 1)

function urlOf(user: BrokerUser): string {
  const url = new URL(server)
  url.username = user
  url.password = encodeURIComponent(passwords[user])
  return url.href
}

const models = new Map<BrokerUser, Promise<ChannelModel>>()
t.teardown(() => Promise.all(Array.from(models.values(), async (model) => (await model).close())))
const modelOf = (user: BrokerUser) => {
  const model = models.get(user) ?? connect(urlOf(user))
  models.set(user, model)
  return model
}

/** What RabbitMQ answers, on a channel of its own: `fine`, `returned` (no queue), or the reply code and words of its refusal. */
async function tried(user: BrokerUser, work: (channel: ConfirmChannel) => unknown): Promise<string> {
  const channel = await (await modelOf(user)).createConfirmChannel()
  let refusal = ''
  let returned = false
  channel.on('error', (error: Error) => (refusal = error.message))
  channel.on('return', () => (returned = true))
  try {
    await work(channel)
    await channel.waitForConfirms()
    return returned ? 'returned' : 'fine'
  } catch (error) {
    return refusal || String(error)
  } finally {
    await channel.close().catch(() => undefined)
  }
}

const send = (exchange: string, key: string, headers?: object) => (channel: ConfirmChannel) =>
  channel.publish(exchange, key, Buffer.from('{}'), { mandatory: true, ...headers })
const get = (queue: string) => (channel: ConfirmChannel) => channel.get(queue)
const consume = (queue: string) => (channel: ConfirmChannel) => channel.consume(queue, () => undefined)

t.test('what is imported is what the services declare: queues, arguments, exchanges, bindings', async (t) => {
  const { queues } = await inspectBroker({ url: urlOf('operator'), retryDelaysMs })
  t.same(
    queues.filter(({ state }) => state !== 'ok'),
    [],
  )
  t.ok(queues.length >= 20, `${queues.length} queues`)
  await createVhost(managementUrl, 'declared')
  await declareBroker({ url: `${server}/declared`, retryDelaysMs })
  const there = async (what: string, vhost: string) => {
    const found = (await managementCall(managementUrl, 'GET', `${what}/${vhost}`)) as Record<string, unknown>[]
    return found
      .filter(({ name }) => !String(name).startsWith('amq.'))
      .map((each) =>
        JSON.stringify(
          ['name', 'type', 'durable', 'arguments', 'source', 'destination', 'routing_key'].map((key) => each[key]),
        ),
      )
      .sort()
  }
  for (const what of ['exchanges', 'bindings'])
    t.same(await there(what, '%2F'), await there(what, 'declared'), `the same ${what}`)
})

t.test('a password is in the document as a salted hash only, another each time', async (t) => {
  const text = JSON.stringify(definitions)
  for (const password of Object.values(passwords)) t.notOk(text.includes(password.slice(0, 12)))
  const hashes = (of: typeof definitions) => of.users.map(({ password_hash: hash }) => hash)
  const again = hashes(rabbitmqDefinitions({ passwords }))
  t.equal(new Set([...hashes(definitions), ...again]).size, 2 * BROKER_USERS.length)
  await t.rejects(connect(urlOf('operator').replace('operator', 'ingress')), /ACCESS_REFUSED/)
  // Imported once more, with another one: exchanged.
  const later = { ...passwords, operator: 'another' }
  const other = Object.assign(new URL(server), { username: 'operator', password: 'another' }).href
  await t.rejects(connect(other), /ACCESS_REFUSED/)
  await managementCall(managementUrl, 'POST', 'definitions', rabbitmqDefinitions({ passwords: later, retryDelaysMs }))
  await (await connect(other)).close()
  await t.rejects(connect(urlOf('operator')), /ACCESS_REFUSED/)
  await managementCall(managementUrl, 'POST', 'definitions', definitions)
})

t.test('each service does all of its work with its own login', async (t) => {
  const lines = keepLines()
  const ingress = await testBroker(t, urlOf('ingress'), { retryDelaysMs, name: 'ingress', log: lines })
  await ingress.ready()
  const settled: string[] = []
  ingress.consumeOutcomes(
    own,
    (batches) => {
      settled.push(...batches.flatMap(({ outcomes }) => outcomes.map(({ outcome }) => outcome)))
      return Promise.resolve()
    },
    done,
  )
  ingress.consumeOutcomes(other, () => Promise.resolve(), done)
  ingress.keepDeadLetters({ restMs: 10 })
  const asked: string[] = []
  const candidate = {
    gained: () => undefined,
    lost: () => undefined,
    standing: () => undefined,
    rang: (side: string) => void asked.push(side),
    asked: () => Promise.reject(new Error('nobody asks')),
  }
  const lead = ingress.standForLead(candidate)
  const second = await testBroker(t, urlOf('ingress'), { retryDelaysMs, name: 'second', log: lines })
  await until('one leads', () => lead.leads)
  const standby = second.standForLead(candidate)
  await until('another stands by', () => standby.state === 'standby')
  await standby.ring('clinic')
  await until('the leader hears it', () => asked.includes('clinic'))

  const consumer = await testBroker(t, urlOf(own), { retryDelaysMs, name: own, log: lines })
  await consumer.ready()
  const attempts: number[] = []
  const failure = { type: 'transient', code: '40P01', message: 'a deadlock' } as const
  consumer.consumeEvents(
    own,
    async ({ events }) => {
      attempts.push(...events.map(({ attempt }) => attempt))
      const outcome = attempts.length > 1 ? 'dead' : 'retry'
      const outcomes = events.map(({ event: { data } }) => {
        const { table, key, version } = data
        return { table, key, version, outcome, code: '40P01', reason: 'a deadlock' } as const
      })
      await consumer.publishOutcomes({ direction: own, outcomes })
      return events.map(() => ({ action: outcome, failure }))
    },
    done,
  )
  const backward = await testBroker(t, urlOf(other), { retryDelaysMs, name: other, log: lines })
  backward.consumeEvents(other, ({ events }) => Promise.resolve(events.map(() => ({ action: 'done' }))), done)
  await until('all consume', () => [ingress, consumer, backward].every((broker) => broker.state().ready))
  await ingress.publishEvents([record])
  await until('its outcomes are settled', () => settled.length === 2)
  t.same(attempts, [0, 1], 'tried, and tried again after its time in a retry queue')
  t.same(settled, ['retry', 'dead'])
  // The keeper rewrites it: it may read and write the dead letters.
  const succeeded = { table: 'aligner_notes', key: 1, version: '2', outcome: 'applied' } as const
  await consumer.publishOutcomes({ direction: own, outcomes: [succeeded] })
  const letters = () => browseDeadLetters({ url: urlOf('operator') }).catch(() => [])
  await until('the dead letter says so', async () => (await letters())[0]?.supersededBy === '2')
  t.equal((await ingress.queueDepths()).length, definitions.queues.length, 'it sees how deep each queue is')
  t.same(
    lines.lines.filter(({ level, message }) => /warn|error/.test(level) && !/dead letters cannot/.test(message)),
    [],
    'nobody was refused anything that it needs',
  )

  const box = await openDeadLetterBox({ url: urlOf('operator') })
  const sender = await openSender({ url: urlOf('operator'), name: 'operator', retryDelaysMs })
  const opened = await box.take(box.letters)
  await sender.discard(opened, { by: 'a test', why: 'done with' })
  for (const { letter } of opened) box.remove(letter)
  await box.close()
  await sender.close()
  await Promise.all([standby.close(), second.close(), ingress.close(), consumer.close(), backward.close()])
})

t.test('with its own login the ingress watches outcomes, and replays and discards dead letters', async (t) => {
  const url = urlOf('ingress')
  const consumer = await testBroker(t, urlOf(own), { retryDelaysMs, name: own, log: keepLines() })
  await consumer.ready()
  const failure = { type: 'permanent', code: '23514', message: 'too long' } as const
  let dies = true
  consumer.consumeEvents(
    own,
    async ({ events }) => {
      const outcome = dies ? 'dead' : 'applied'
      const outcomes = events.map(({ event: { data } }) => {
        const { table, key, version } = data
        return { table, key, version, outcome } as const
      })
      await consumer.publishOutcomes({ direction: own, outcomes })
      return events.map(() => (dies ? { action: 'dead', failure } : { action: 'done' }))
    },
    done,
  )
  await until('it consumes', () => consumer.state().ready)
  const heard: string[] = []
  const watch = await watchOutcomes({
    url,
    log: keepLines(),
    name: 'ingress status',
    direction: own,
    onOutcomes: (outcomes) => heard.push(...outcomes.map(({ outcome }) => outcome)),
    connectMs: 5_000,
  })
  const sender = await openSender({ url, name: 'ingress page', retryDelaysMs })
  const letters = async () => (await browseDeadLetters({ url })).filter(({ about }) => about?.key === 1)
  const ingress = await testBroker(t, url, { retryDelaysMs, name: 'ingress', log: keepLines() })
  ingress.consumeOutcomes(own, () => Promise.resolve(), done)
  await until('it settles', () => ingress.state().ready)
  const before = (await letters()).length
  await ingress.publishEvents([note(1, 11), note(1, 12)])
  await until('both are dead', async () => (await letters()).length === before + 2)
  dies = false
  const box = await openDeadLetterBox({ url })
  const [first, second] = await box.take(box.letters.slice(-2))
  t.ok(first && second)
  if (first === undefined || second === undefined) return
  await sender.replay([first])
  box.remove(first.letter)
  await until('it is heard what became of it', () => heard.includes('applied'))
  t.same(heard, ['dead', 'dead', 'applied'])
  await sender.discard([second], { by: 'a test', why: 'done with' })
  box.remove(second.letter)
  await box.close()
  t.equal((await letters()).length, before)
  t.equal(await tried('operator', get('sync.discarded')), 'fine')
  await Promise.all([watch.close(), sender.close(), consumer.close(), ingress.close()])
  const refused = watchOutcomes({
    url: urlOf(own),
    log: keepLines(),
    name: 'ingress of 1.0',
    direction: own,
    onOutcomes: () => undefined,
  })
  await t.rejects(refused, { code: 'SYNC_BROKER_RIGHTS' }, 'whoever may not listen is told so at once')
  const record = { table: 'aligner_notes', key: 1, onSight: () => undefined }
  await t.rejects(watchRecord({ url: urlOf(own), log: keepLines(), name: 'ingress of 1.0', ...record }), {
    code: 'SYNC_BROKER_RIGHTS',
  })
})

t.test('work on the dead letters with the rights of an earlier version says that it is the rights', async (t) => {
  const rights = { code: 'SYNC_BROKER_RIGHTS' }
  await t.rejects(openDeadLetterBox({ url: urlOf(own) }), rights, 'who may not lock them')
  await t.rejects(browseDeadLetters({ url: urlOf(own) }), rights)
  const name = 'ingress of 1.0'
  await managementCall(managementUrl, 'PUT', `users/${encodeURIComponent(name)}`, { password: 'old', tags: '' })
  const vhost = encodeURIComponent(definitions.permissions[0]?.vhost ?? '')
  const may = (what: string, rights: object) =>
    managementCall(managementUrl, 'PUT', `${what}/${vhost}/${encodeURIComponent(name)}`, rights)
  await may('permissions', { configure: '.*', write: '.*', read: '.*' })
  await may('topic-permissions', { exchange: 'sync.dead', write: '[.]consumer$', read: '^$' })
  const url = new URL(server)
  url.username = encodeURIComponent(name)
  url.password = 'old'
  const sender = await openSender({ url: url.href, name, retryDelaysMs, publishMs: 5_000 })
  t.teardown(() => sender.close())
  const letter = { message: { content: Buffer.from('{}'), properties: { headers: {} }, fields: {} } } as never
  await t.rejects(sender.discard([letter], { by: 'a test', why: 'tried' }), rights, 'who may not keep what is given up')
})

t.test('with its own login the ingress keeps what its alerts have told; no consumer reads or writes it', async (t) => {
  const ingress = await testBroker(t, urlOf('ingress'), { retryDelaysMs, name: 'ingress', log: keepLines() })
  await ingress.note.write('told')
  t.equal(await ingress.note.read(), 'told')
  const consumer = await testBroker(t, urlOf(own), { retryDelaysMs, name: own, log: keepLines() })
  await t.rejects(consumer.note.read(), { code: 'SYNC_BROKER_DOWN' })
  await t.rejects(consumer.note.write('false'), { code: 'SYNC_BROKER_DOWN' })
  t.equal(await ingress.note.read(), 'told')
})

t.test('a consumer reads its own queues, and nobody else’s', async (t) => {
  const others = definitions.queues.map(({ name }) => name).filter((name) => !/^sync[.]sql-to-postgres[.]p/.test(name))
  t.ok(others.length > 10)
  for (const queue of others) {
    t.match(await tried(own, consume(queue)), /ACCESS_REFUSED/, `consumes ${queue}`)
    t.match(await tried(own, (channel) => channel.purgeQueue(queue)), /ACCESS_REFUSED/, `empties ${queue}`)
  }
})

t.test('a consumer publishes with its own routing keys only', async (t) => {
  const refused: readonly (readonly [string, string])[] = [
    ['sync.events', `${other}.p0`],
    ['sync.events', `${own}.p0.${other}.p0`],
    ['sync.events', ''],
    ['sync.retry', `${other}.p0.r1`],
    ['sync.retry', `${own}.p0`],
    ['sync.outcomes', `${other}.batch`],
    ['sync.dead', `${other}.consumer`],
    ['sync.dead', `${own}.broker`],
    ['sync.dead', 'discarded'],
    ['sync.dead', 'unheard.of'],
    ['sync.dead.unrouted', ''],
    ['sync.rings', ''],
    ['sync.leader', 'token'],
    ['', eventQueue(other, 0)],
    ['', eventQueue(own, 0)],
    ['amq.topic', 'x'],
    ['amq.fanout', ''],
  ]
  for (const [exchange, key] of refused)
    t.match(await tried(own, send(exchange, key)), /ACCESS_REFUSED/, `${exchange || 'the default exchange'} ${key}`)
})

t.test('no service makes, changes or removes what lasts', async (t) => {
  const [events, lasting] = [eventQueue(own, 0), { durable: true, arguments: { 'x-queue-type': 'quorum' } }]
  for (const user of ['ingress', own, other] as const) {
    const trials: readonly (readonly [string, (channel: ConfirmChannel) => unknown])[] = [
      ['declares a queue', (channel) => channel.assertQueue('sync.mine', lasting)],
      [
        'declares a queue with a dead-letter exchange',
        (c) => c.assertQueue('a', { deadLetterExchange: 'sync.events' }),
      ],
      ['declares a queue without a name', (channel) => channel.assertQueue('', { exclusive: true })],
      ['declares an exchange', (channel) => channel.assertExchange('sync.mine', 'topic')],
      ['deletes a queue', (channel) => channel.deleteQueue(events)],
      ['deletes an exchange', (channel) => channel.deleteExchange('sync.dead')],
      ['binds a queue', (channel) => channel.bindQueue(events, 'sync.events', `${other}.#`)],
      ['unbinds a queue', (channel) => channel.unbindQueue(eventQueue(other, 1), 'sync.events', `${other}.p1.#`)],
      ['binds an exchange', (channel) => channel.bindExchange('sync.outcomes', 'sync.events', '#')],
    ]
    for (const [what, trial] of trials) t.match(await tried(user, trial), /ACCESS_REFUSED/, `${user} ${what}`)
    const page = await fetch(`${new URL(managementUrl).origin}/api/overview`, {
      headers: { authorization: `Basic ${Buffer.from(`${user}:${passwords[user]}`).toString('base64')}` },
    })
    t.equal(page.status, 401, `${user} has no part in the management UI`)
    const elsewhere = new URL(urlOf(user))
    elsewhere.pathname = '/declared'
    await t.rejects(connect(elsewhere.href), `${user} is let into no other virtual host`)
  }
})

t.test('the ingress sees no event on its way, and copies none', async (t) => {
  const inbox = 'sync.rings.0-1'
  const bound = (exchange: string) => async (channel: ConfirmChannel) => {
    await channel.assertQueue(inbox, { exclusive: true, autoDelete: true })
    await channel.bindQueue(inbox, exchange, '#')
  }
  for (const direction of [own, other]) {
    for (let p = 0; p < 4; p++) t.match(await tried('ingress', consume(eventQueue(direction, p))), /ACCESS_REFUSED/)
    t.match(await tried('ingress', get('sync.retry.r1')), /ACCESS_REFUSED/)
    t.match(await tried('ingress', send('sync.retry', `${direction}.p0.r1`)), /ACCESS_REFUSED/)
    t.match(await tried('ingress', send('sync.dead', `${direction}.broker`)), /ACCESS_REFUSED/)
  }
  for (const exchange of ['sync.events', 'sync.retry', 'sync.outcomes', 'sync.dead'])
    t.match(await tried('ingress', bound(exchange)), /ACCESS_REFUSED/, `${exchange} into a queue of its own`)
  t.match(await tried('ingress', send('', deadQueue(own))), /ACCESS_REFUSED/)
  t.match(await tried('ingress', get('sync.discarded')), /ACCESS_REFUSED/, 'what it has discarded it reads no more')
  for (const queue of ['sync.dead.lock.1', 'sync.outcomes.watch', 'sync.outcomes.watch.1.x', 'sync.outcomes.1']) {
    const declared = (channel: ConfirmChannel) => channel.assertQueue(queue, { exclusive: true, autoDelete: true })
    t.match(await tried('ingress', declared), /ACCESS_REFUSED/, `it makes no ${queue}`)
  }
})

t.test('the operator does what is ours, and nothing else', async (t) => {
  t.equal(await tried('operator', get('sync.discarded')), 'fine')
  t.match(await tried('operator', (channel) => channel.assertQueue('mine')), /ACCESS_REFUSED/)
  t.match(await tried('operator', send('', deadQueue(own))), /ACCESS_REFUSED/)
  const asked = await fetch(`${new URL(managementUrl).origin}/api/users/operator`, {
    method: 'PUT',
    headers: { authorization: `Basic ${Buffer.from(`operator:${passwords.operator}`).toString('base64')}` },
    body: JSON.stringify({ password: 'x', tags: 'administrator' }),
  })
  t.equal(asked.status, 401, 'it makes itself no administrator')
})

t.test('a copy by CC or BCC that RabbitMQ lets through does nothing', async (t) => {
  const forged = note(7, 7)
  const toPortal = { ...forged, source: 'portal' as const }
  const outcomes = [{ table: 'aligner_notes', key: 7, version: '7', outcome: 'applied' }]
  const copies: readonly (readonly [string, string, string, object])[] = [
    ['sync.events', `${own}.p0`, `${other}.p0`, toPortal],
    ['sync.retry', `${own}.p0.r1`, `${other}.p0.r1`, toPortal],
    ['sync.outcomes', `${own}.batch`, `${other}.batch`, { direction: other, outcomes }],
    ['sync.dead', `${own}.consumer`, `${other}.broker`, toPortal],
  ]
  const handled: string[] = []
  let bad = 0
  const lines = keepLines()
  const guest = await testBroker(t, server, { retryDelaysMs, log: lines })
  for (const direction of [own, other]) {
    guest.consumeEvents(
      direction,
      (batch) => {
        handled.push(...batch.events.map(({ event }) => event.subject))
        bad += batch.bad.filter(({ about }) => about === null).length
        return Promise.resolve(batch.events.map(() => ({ action: 'done' })))
      },
      done,
    )
  }
  guest.consumeOutcomes(other, () => Promise.resolve(void handled.push('an outcome')), done)
  const reported: string[] = []
  guest.consumeOutcomes(own, (batches) => Promise.resolve(void reported.push(JSON.stringify(batches))), done)
  guest.keepDeadLetters({ restMs: 10 })
  await until('it consumes', () => guest.state().ready)
  let let_through = 0
  for (const [exchange, key, copy, body] of copies) {
    for (const header of ['CC', 'BCC']) {
      const content = Buffer.from(JSON.stringify(body))
      const answer = await tried(own, (channel) =>
        channel.publish(exchange, key, content, { type: 'sync.row.upserted.v1', [header]: [copy] }),
      )
      if (answer === 'fine') let_through++
      else t.match(answer, /ACCESS_REFUSED/)
    }
  }
  if (let_through > 0) {
    const dead = async () => (await inspectBroker({ url: server, retryDelaysMs })).queues
    const ready = async (queue: string) => (await dead()).find(({ name }) => name === queue)?.messages ?? 0
    await until('strays are dead letters', async () => (await ready(deadQueue(other))) >= 4)
    await until('all is looked at', async () => (await ready(outcomeQueue(own))) === 0 && bad >= 4)
    const letters = await openDeadLetterBox({ url: server, waitMs: 20_000 })
    const sender = await openSender({ url: server, name: 'operator', retryDelaysMs })
    const opened = await letters.take(letters.letters.filter(({ queue }) => queue === deadQueue(own)))
    t.ok(opened.length > 0, 'what it has put among its own dead letters')
    for (const each of opened)
      t.throws(() => sender.replay([each]), { code: 'SYNC_BAD_MESSAGE' }, 'an operator cannot be made to replay it')
    await sender.close()
    await letters.close()
  }
  t.same(handled, [])
  t.same(reported, [], 'nothing is said to be dead')
})

t.test('a queue is gone: a service that may not declare says which, and goes on when it is declared', async (t) => {
  const lines = keepLines()
  // Such as a service may look at in RabbitMQ 4.3, where that needs a right.
  await tried('operator', (channel) => channel.deleteQueue(eventQueue(own, 1)))
  await tried('operator', (channel) => channel.deleteExchange('sync.retry'))
  const broker = await testBroker(t, urlOf(own), { retryDelaysMs, log: lines })
  const said = () => lines.lines.map(({ fields }) => String((fields as { reason?: unknown }).reason)).join('\n')
  await until('it says so', () => /sync[.]sql-to-postgres[.]p1/.test(said()))
  t.match(said(), /RabbitMQ has no exchange sync[.]retry, queue sync[.]sql-to-postgres[.]p1, and this login may not/)
  t.match(said(), /migrate broker/, 'and what to do')
  t.equal(broker.state().ready, false)
  await t.rejects(declareBroker({ url: urlOf(own), retryDelaysMs }), {
    code: 'SYNC_BROKER_UNPREPARED',
  })
  const look = await declareBroker({ url: urlOf('operator'), retryDelaysMs, dryRun: true })
  t.same(look.made, ['exchange sync.retry', 'queue sync.sql-to-postgres.p1'])
  t.same((await declareBroker({ url: urlOf('operator'), retryDelaysMs })).made, look.made)
  await broker.ready(AbortSignal.timeout(20_000))
  t.same((await declareBroker({ url: urlOf('operator'), retryDelaysMs })).made, [], 'safe to repeat')
  t.match(await declareBroker({ url: urlOf(own), retryDelaysMs }), { made: [], mayDeclare: false })
})

t.test('a password of any characters is right', async (t) => {
  for (const password of ['Grüße, 日本 😀', `q'"$x\\#?&=%41`]) {
    const changed = { ...passwords, operator: password }
    await managementCall(
      managementUrl,
      'POST',
      'definitions',
      rabbitmqDefinitions({ passwords: changed, retryDelaysMs }),
    )
    const url = new URL(urlOf('operator'))
    url.password = encodeURIComponent(password)
    t.match(await declareBroker({ url: url.href, retryDelaysMs, dryRun: true }), { made: [] })
  }
})
