import { hostname } from 'node:os'
import t from 'tap'
import { brokerEncryption, clinicEncryption, isThisMachine, portalEncryption } from '../src/doctor/encryption.ts'

t.test('what is this machine', async (t) => {
  for (const host of ['localhost', '127.0.0.1', '127.1.2.3', '::1', '[::1]', hostname()])
    t.ok(isThisMachine(host), host)
  for (const host of ['db.example', '192.0.2.7', '127.0.0.1.example', '2001:db8::1']) t.notOk(isThisMachine(host), host)
})

t.test('the clinic', async (t) => {
  const look = (host: string, options = '') => clinicEncryption(`mssql://sa:PLANTED@${host}/clinic${options}`)
  t.match(look('192.0.2.7'), { status: 'ok', found: /certificate is checked/ })
  t.match(look('192.0.2.7', '?trustServerCertificate=true'), {
    status: 'warn',
    found: /takes any certificate/,
    todo: /ca=/,
  })
  t.match(look('192.0.2.7', '?encrypt=false'), { id: 'clinic.encrypted', status: 'warn', todo: /encrypt=true/ })
  t.match(look('127.0.0.1:1433', '?encrypt=false'), { status: 'ok', found: /this machine/ })
})

t.test('the portal', async (t) => {
  const url = 'postgres://u:PLANTED@192.0.2.7:5432/postgres'
  t.match(portalEncryption(url, true), { status: 'ok', found: /certificate is checked/ })
  t.match(portalEncryption(`${url}?sslmode=no-verify`, true), { status: 'warn', found: /takes any certificate/ })
  t.match(portalEncryption(url, false), {
    id: 'portal.encrypted',
    status: 'warn',
    todo: /sslrootcert=.*\.env\.example/,
  })
  t.match(portalEncryption('postgres://u@localhost/postgres', false), { status: 'ok' })
  t.match(portalEncryption('postgres://u@x/postgres?host=/run/postgresql', false), { status: 'ok' })
  t.notMatch(JSON.stringify(portalEncryption(url, false)), /PLANTED/)
})

t.test('the broker', async (t) => {
  t.match(brokerEncryption('amqps://u:PLANTED@192.0.2.7'), { status: 'ok' })
  t.match(brokerEncryption('amqp://u:PLANTED@192.0.2.7'), { id: 'broker.encrypted', status: 'warn', todo: /amqps/ })
  t.match(brokerEncryption('amqp://u:PLANTED@127.0.0.1:5672/x'), { status: 'ok' })
  t.match(brokerEncryption('amqp://u:PLANTED@rabbitmq:5672'), { status: 'warn' })
  t.match(brokerEncryption('amqp://u:PLANTED@rabbitmq:5672', true), { status: 'ok' }, 'a neighbour in Docker')
})
