import { connect } from 'node:net'
import t from 'tap'
import { createVhost, managementCall } from '../src/rabbit-management.ts'
import { startRabbit } from '../src/rabbit.ts'

t.setTimeout(400_000)
const env = { PATH: process.env.PATH }

/** True when a connection is accepted there. */
function accepts(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port })
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

t.test('two private instances at once', async (t) => {
  const [one, two] = await Promise.all([startRabbit({ env }), startRabbit({ env })])
  t.teardown(() => Promise.all([one.stop(), two.stop()]))
  t.match(one.how, /^RabbitMQ: private instance of \S+rabbitmq-server \d+\.\d+\.\d+ on port \d+$/)
  t.not(one.url, two.url)
  const names = await Promise.all(
    [one, two].map(async ({ managementUrl = '' }) => {
      const { node } = (await managementCall(managementUrl, 'GET', 'overview')) as { node: string }
      return node
    }),
  )
  t.not(names[0], names[1], 'node names differ')

  const ports = [one.url, one.managementUrl ?? ''].map((url) => Number(new URL(url).port))
  for (const port of ports) {
    t.ok(await accepts('127.0.0.1', port), 'listens on the loopback address')
    // On Linux all of 127/8 is this machine: who listens everywhere is found there too.
    if (process.platform === 'linux') t.notOk(await accepts('127.0.0.2', port), 'and nowhere else')
  }

  await createVhost(one.managementUrl ?? '', 'kept')
  await one.restart?.()
  await t.resolves(managementCall(one.managementUrl ?? '', 'GET', 'vhosts/kept'), 'a restart keeps the data')

  await one.stop()
  t.notOk(await accepts('127.0.0.1', ports[0] ?? 0), 'nobody listens after the stop')
  await t.resolves(managementCall(two.managementUrl ?? '', 'GET', 'overview'), 'and the other one is unharmed')
  await t.resolves(one.stop(), 'a second stop does nothing')
})

t.test('RABBITMQ_URL comes first, and its password is not said', async (t) => {
  const given = {
    RABBITMQ_URL: 'amqp://somebody:secret@broker.example:5672/clinic',
    RABBITMQ_MANAGEMENT_URL: 'http://x@y:1',
  }
  const service = await startRabbit({ env: given })
  t.equal(service.url, given.RABBITMQ_URL)
  t.equal(service.managementUrl, given.RABBITMQ_MANAGEMENT_URL)
  t.equal(service.how, 'RabbitMQ: amqp://broker.example:5672/clinic (RABBITMQ_URL)')
  await service.stop()
})
