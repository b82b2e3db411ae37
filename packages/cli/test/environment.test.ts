import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { asAdministrator } from '../src/admin-url.ts'
import { environmentFrom } from '../src/environment.ts'

t.test('the environment wins over the file that was named', async (t) => {
  const file = join(t.testdir(), 'settings.env')
  writeFileSync(file, 'INGRESS_URL=http://127.0.0.1:1\nLOG_LEVEL=debug\n')
  const { INGRESS_URL, LOG_LEVEL } = environmentFrom(file, { INGRESS_URL: 'http://127.0.0.1:2' })
  t.same([INGRESS_URL, LOG_LEVEL], ['http://127.0.0.1:2', 'debug'])
})

t.test('either form of a setting in the environment wins over both in the file', async (t) => {
  const file = join(t.testdir(), 'settings.env')
  writeFileSync(file, 'RABBITMQ_URL_FILE=secrets/rabbitmq_url\nPOSTGRES_URL=postgres://file\nLOG_LEVEL=debug\n')
  t.same(environmentFrom(file, { RABBITMQ_URL: 'amqp://own', POSTGRES_URL_FILE: 'own' }), {
    RABBITMQ_URL: 'amqp://own',
    POSTGRES_URL_FILE: 'own',
    LOG_LEVEL: 'debug',
  })
})

t.test('a file that was named and cannot be read is an error; without a name there need be none', async (t) => {
  const missing = join(t.testdir(), 'no.env')
  t.throws(() => environmentFrom(missing, {}), { code: 'SYNC_USAGE', message: /no\.env.*--env-file/ })
  t.equal(environmentFrom(undefined, { LOG_LEVEL: 'info' }).LOG_LEVEL, 'info')
})

t.test('as the administrator: his login instead of the services’, where there is one', async (t) => {
  const services = { SQLSERVER_URL_FILE: '/run/secrets/url', LOG_LEVEL: 'info' }
  t.match(asAdministrator({ ...services, SQLSERVER_ADMIN_URL: 'mssql://sa:x@h/clinic' }), {
    SQLSERVER_URL: 'mssql://sa:x@h/clinic',
    SQLSERVER_URL_FILE: undefined,
    LOG_LEVEL: 'info',
  })
  t.equal(asAdministrator({ SQLSERVER_URL: 'mssql://s:x@h/clinic' }).SQLSERVER_URL, 'mssql://s:x@h/clinic')
})
