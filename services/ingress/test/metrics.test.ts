import sensible from '@fastify/sensible'
import Fastify from 'fastify'
import { createMetrics } from '@clinic-sync/runtime'
import t from 'tap'
import { limitSources } from '../src/limits.ts'
import { Drain } from '../src/drain.ts'
import { metricsRoute } from '../src/routes/metrics.ts'
import { databaseDown, Fake } from './fake-outbox.ts'
import { recordingLog } from './help.ts'

const TOKEN = 'operator-token-0123456789'

t.test('/metrics of a port that may be public wants the token of the operator', async (t) => {
  const fastify = Fastify()
  t.teardown(() => fastify.close())
  let scrapes = 0
  const metrics = { contentType: 'text/plain; version=0.0.4', text: async () => `scrapes ${++scrapes}\n` }
  await fastify.register(sensible)
  await limitSources(fastify)
  await fastify.register(metricsRoute, { metrics, token: TOKEN })
  const get = (headers: Record<string, string>) => fastify.inject({ url: '/metrics', headers })
  for (const headers of [{}, { authorization: 'Bearer ' }, { authorization: `Bearer ${TOKEN}x` }])
    t.equal((await get(headers)).statusCode, 401)
  t.equal(scrapes, 0)
  const answer = await get({ authorization: `Bearer ${TOKEN}` })
  t.match(answer, { statusCode: 200, headers: { 'content-type': metrics.contentType }, body: 'scrapes 1\n' })
  t.match(await fastify.inject({ url: '/metrics', method: 'POST' }), {
    statusCode: 405,
    headers: { allow: 'GET, HEAD' },
  })
})

t.test('each run of a drain is timed, a failed one too, and a scrape asks no database', async (t) => {
  const metrics = createMetrics({ service: 'ingress' })
  const { log } = recordingLog()
  const outbox = new Fake('portal')
  const drain = new Drain({ outbox, publisher: outbox, log, observer: metrics.observer, retry: { min: 1e6, max: 1e6 } })
  t.teardown(() => drain.stop())
  outbox.change(1)
  await drain.request()
  outbox.down = databaseDown()
  await t.rejects(drain.request())
  const asked = outbox.calls.length
  t.match(await metrics.text(), /^clinic_sync_drain_duration_seconds_count\{side="portal"\} 2$/m)
  t.equal(outbox.calls.length, asked)
})
