import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { managementCall } from '@clinic-sync/dev-services'
import { testVhost } from '@clinic-sync/dev-services/testing'
import t from 'tap'
import { brokerManagement, declareBroker, deadQueue, retryQueue } from '../src/index.ts'

t.test('each queue’s own arguments, and what a policy adds; nothing of users', async (t) => {
  const { url, name, managementUrl } = await testVhost(t)
  await declareBroker({ url })
  const vhost = encodeURIComponent(name)
  await managementCall(managementUrl, 'PUT', `policies/${vhost}/planted`, {
    pattern: '^sync[.]dead',
    definition: { 'max-length': 7 },
    priority: 3,
    'apply-to': 'queues',
  })
  const port = Number(new URL(managementUrl).port)
  const until = Date.now() + 20_000
  let told = await brokerManagement(url, { port })
  // Its figures are some seconds old.
  while (told.queues.get(deadQueue('sql-to-postgres'))?.policy !== 'planted' && Date.now() < until)
    told = await brokerManagement(url, { port })
  t.match(told.queues.get(retryQueue(1)), {
    arguments: { 'x-queue-type': 'quorum', 'x-message-ttl': 5_000 },
    policy: null,
  })
  t.match(told.queues.get(deadQueue('sql-to-postgres')), { policy: 'planted', effectivePolicy: { 'max-length': 7 } })
  t.strictSame(told.policies, [
    { name: 'planted', pattern: '^sync[.]dead', appliesTo: 'queues', definition: { 'max-length': 7 }, priority: 3 },
  ])
  t.strictSame(told.operatorPolicies, [])
  t.match(told.alarms, [{ running: true, memory: false }])
  t.notMatch(JSON.stringify([...told.queues, told]), /password|guest/)
})

t.test('where something else answers, or nobody does, it says so without the login', async (t) => {
  const url = 'amqp://someone:planted-password@127.0.0.1:5672/v'
  let body = '<html>planted-password'
  let status = 200
  const server = createServer((_request, response) => response.writeHead(status).end(body)).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  const refused = async (message: RegExp) => {
    const error = await brokerManagement(url, { port, askMs: 300 }).catch((error: unknown) => error)
    t.match(error, { code: 'SYNC_BROKER_DOWN', message })
    t.notMatch(String(error), /planted-password/)
  }
  await refused(/something else answers there/)
  status = 401
  body = '{}'
  await refused(/it answered 401/)
  server.removeAllListeners('request')
  await refused(/no answer within 0.3 s/)
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  await refused(/ECONNREFUSED/)
  await t.rejects(brokerManagement('http://h'), { code: 'SYNC_CONFIG' })
})
