import { connect, type ChannelModel } from 'amqplib'
import t from 'tap'
import { meaningOf, reasonOf } from '../src/errors.ts'
import { testRabbit } from './support/rabbit.ts'

const rabbit = await testRabbit(t)
const thrown = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  )

async function connected(): Promise<ChannelModel> {
  const model = await connect(rabbit.url)
  model.on('error', () => undefined)
  t.teardown(() => model.close().catch(() => undefined))
  return model
}
const model = await connected()
/** A channel of its own: a refusal closes it. */
const channel = async (from = model) => {
  const opened = await from.createConfirmChannel()
  opened.on('error', () => undefined)
  return opened
}

t.test('what RabbitMQ answers is what the table says', async (t) => {
  const own = await channel()
  await own.assertQueue('mine', { exclusive: true })
  await own.assertQueue('small', { arguments: { 'x-max-length': 1, 'x-overflow': 'reject-publish' } })
  const other = await connected()
  const password = Object.assign(new URL(rabbit.url), { password: 'Zaynab-4711' })
  const vhost = Object.assign(new URL(rabbit.url), { pathname: '/nowhere' })
  const confirmed = async () => {
    for (let i = 0; i < 3; i++) own.sendToQueue('small', Buffer.from('x'))
    await own.waitForConfirms()
  }
  const cases: [code: string, words: RegExp, failing: () => Promise<unknown>][] = [
    ['403', /refuses the user/, () => connect(password.href)],
    ['Expected ConnectionOpenOk', /no such virtual host/, () => connect(vhost.href)],
    ['404', /is missing/, async () => (await channel()).checkQueue('nowhere')],
    ['405', /held by somebody else/, async () => (await channel(other)).consume('mine', () => undefined)],
    ['406', /refuses what was asked/, async () => (await channel()).assertQueue('small', { arguments: {} })],
    ['message nacked', /a queue is full/, confirmed],
  ]
  for (const [code, words, failing] of cases) {
    const error = await thrown(failing())
    t.match(meaningOf(error), { failure: 'down', words }, code)
    // What amqplib says by itself is left out.
    const isNumber = /^\d+$/.test(code)
    t.match(reasonOf(error), isNumber ? new RegExp(`${code}.*: .*${words.source}`, 's') : words)
    t.equal(reasonOf(error).startsWith(code), false)
    t.notMatch(reasonOf(error), /Zaynab/)
  }
})

t.test('of a connection that ends there are our words alone', async (t) => {
  for (const said of [
    'Channel ended, no reply will be forthcoming',
    'Connection closed: 320 (CONNECTION-FORCED) with message "CONNECTION_FORCED - broker forced connection closure"',
    'Unexpected close',
    'Heartbeat timeout',
  ])
    t.notMatch(reasonOf(new Error(said)), /ended|FORCED|Unexpected|timeout/, said)
  const stopping = Object.assign(new Error('Connection closed: 320 (CONNECTION-FORCED)'), { code: 320 })
  t.equal(reasonOf(stopping), 'RabbitMQ closes the connection: it stops, or an operator asked for it')
})

t.test('a broker that is not there', async (t) => {
  t.match(meaningOf(await thrown(connect('amqp://127.0.0.1:1'))), { failure: 'down', error: 'SYNC_BROKER_DOWN' })
})
