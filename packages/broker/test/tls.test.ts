import { writeFileSync } from 'node:fs'
import { createServer as createPlain } from 'node:net'
import { join } from 'node:path'
import { createServer, TLSSocket } from 'node:tls'
import { inspectBroker } from '@clinic-sync/broker'
import { makeAuthority, testRabbitServer } from '@clinic-sync/dev-services/testing'
import t from 'tap'
import { brokerAddress } from '../src/address.ts'
import { Connection } from '../src/connection.ts'

const authority = makeAuthority()
/** Not for 127.0.0.1. */
const good = authority.issue({ hosts: ['localhost'] })
const files = t.testdir({
  'right.crt': authority.cert,
  'wrong.crt': makeAuthority().cert,
  'own.crt': good.cert,
  'own.key': good.key,
  'empty.crt': '',
})
const file = (name: string) => encodeURIComponent(join(files, name))
const server = await testRabbitServer(t, { tls: good })
const at = (host: string, query: string, base = server.tlsUrl ?? '') => {
  const url = new URL(base)
  url.hostname = host
  url.search = query
  return url.href
}
/** The version that RabbitMQ tells over that connection, or why there is none. */
const asked = (url: string) =>
  inspectBroker({ url }).then(
    ({ version }) => version ?? 'no version',
    (error: Error) => error.message,
  )

t.test('the right authority, the right name', async (t) => {
  t.match(await asked(at('localhost', `?cacertfile=${file('right.crt')}`)), /^\d+\.\d+/)
  t.match(await asked(at('127.0.0.1', `?cacertfile=${file('own.crt')}`)), /^\d+\.\d+/, 'the very certificate')
  const client = `&certfile=${file('own.crt')}&keyfile=${file('own.key')}`
  t.match(await asked(at('localhost', `?cacertfile=${file('right.crt')}${client}`)), /^\d+\.\d+/, 'with one of our own')
})

t.test('nobody else', async (t) => {
  t.match(await asked(at('localhost', `?cacertfile=${file('wrong.crt')}`)), /unable to get local issuer certificate/)
  t.match(await asked(at('localhost', '')), /unable to verify the first certificate/)
  t.match(await asked(at('127.0.0.1', `?cacertfile=${file('right.crt')}`)), /does not match certificate/)
  const expired = authority.issue({ hosts: ['localhost'], to: new Date(Date.now() - 60_000) })
  const late = createServer({ ...expired }, (socket) => socket.destroy()).listen(0, '127.0.0.1')
  t.teardown(() => late.close())
  await new Promise((resolve) => late.once('listening', resolve))
  const { port } = late.address() as { port: number }
  writeFileSync(join(files, 'expired.crt'), expired.cert)
  for (const name of ['right.crt', 'expired.crt'])
    t.match(await asked(`amqps://u:p@localhost:${port}?cacertfile=${file(name)}`), /certificate has expired/, name)
})

t.test('a server that does not encrypt is not talked to', async (t) => {
  const heard: Buffer[] = []
  const plain = createPlain((socket) => {
    socket.on('error', () => {})
    socket.once('data', (chunk) => {
      heard.push(chunk)
      socket.end('AMQP\0\0\x09\x01')
    })
  }).listen(0, '127.0.0.1')
  t.teardown(() => plain.close())
  await new Promise((resolve) => plain.once('listening', resolve))
  const { port } = plain.address() as { port: number }
  t.match(await asked(`amqps://user:s3cret@localhost:${port}`), /RabbitMQ: /)
  t.notMatch(Buffer.concat(heard).toString('latin1'), /AMQP|s3cret/)
})

t.test('what the services hold open is such a connection', async (t) => {
  const log = { debug() {}, info() {}, warn() {}, error() {} }
  const connection = new Connection(at('localhost', `?cacertfile=${file('right.crt')}`), 'test', log)
  t.teardown(() => connection.close())
  connection.start()
  const model = await connection.opened(new AbortController().signal)
  t.match(model?.connection, { stream: TLSSocket })
})

t.test('what cannot be used is named, without the URL', async (t) => {
  for (const [text, message] of [
    ['amqps://u:s3cret@h?verify=verify_none', /verify is not verify_peer/],
    ['amqp://u:s3cret@h?cacertfile=x', /amqp:\/\/ does not encrypt; write amqps/],
    ['amqps://u:s3cret@h?certfile=x', /belong together/],
    [
      `amqps://u:s3cret@h?cacertfile=${file('none.crt')}`,
      /file of its cacertfile, ".*none.crt" cannot be read \(ENOENT\)/,
    ],
    [`amqps://u:s3cret@h?cacertfile=${file('empty.crt')}`, /holds no certificate/],
    ['amqp://u:s3cret%@h', /a % that is not a percent-encoding/],
    ['http://u:s3cret@h', /must begin with amqp/],
    ['s3cret', /not a URL/],
  ] as const) {
    t.throws(() => brokerAddress(text), { code: 'SYNC_CONFIG', message })
    t.throws(() => brokerAddress(text), { message: /^(?!.*s3cret)/ })
  }
  const { url } = brokerAddress(`amqps://u:p%40@h/%2Fv?cacertfile=${file('right.crt')}&verify=verify_peer`)
  t.equal(url, 'amqps://u:p%40@h/%2Fv?heartbeat=8')
  t.match(brokerAddress('amqp://h?heartbeat=5').url, /heartbeat=5$/)
})
