import { createServer } from 'node:http'
import { once } from 'node:events'
import { DatabaseError } from '@clinic-sync/sync'
import { pino } from 'pino'
import t from 'tap'
import { startConsumerService } from '../src/index.ts'

/** A service whose database answers `check` so; nothing listens where its RabbitMQ should be. */
function service(check: () => Promise<void>, healthPort = 0) {
  const stopping = new AbortController()
  const calls: string[] = []
  const database = {
    check: () => (calls.push('check'), check()),
    applyChanges: () => Promise.resolve([]),
    close: () => (calls.push('close'), Promise.resolve()),
  }
  const context = { environment: {}, log: pino({ level: 'silent' }), signal: stopping.signal, fail: () => undefined }
  const start = () =>
    startConsumerService(context, {
      direction: 'postgres-to-sql',
      target: { side: 'clinic', url: 'mssql://u:p@127.0.0.1:1/clinic', database },
      says: 'applies',
      settings: { RABBITMQ_URL: 'amqp://127.0.0.1:1', HEALTH_HOST: '127.0.0.1', HEALTH_PORT: healthPort },
    })
  return { start, stopping, calls }
}

t.test('a target without schema sync ends the start, and is closed', async (t) => {
  const { start, calls } = service(() =>
    Promise.reject(new DatabaseError('down', 'no schema sync', { code: 'SYNC_NOT_MIGRATED' })),
  )
  await t.rejects(start(), { code: 'SYNC_NOT_MIGRATED' })
  t.strictSame(calls, ['check', 'close'])
})

t.test('a health port in use ends the start, and the target is closed', async (t) => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  t.teardown(() => other.close())
  const address = other.address()
  const { start, calls } = service(
    () => Promise.resolve(),
    typeof address === 'object' && address !== null ? address.port : 0,
  )
  await t.rejects(start(), { code: 'SYNC_CONFIG', message: /HEALTH_PORT/ })
  t.strictSame(calls, ['close'])
})

t.test('a stop while the target is away starts no consumer', async (t) => {
  const { start, stopping, calls } = service(() => {
    if (calls.length > 1) stopping.abort()
    return Promise.reject(new DatabaseError('down', 'away'))
  })
  const running = await start()
  await running.close()
  t.strictSame(calls, ['check', 'check', 'close'])
})
