import t from 'tap'
import { start, TOKEN } from './http.ts'

t.test('the last log lines are told to the operator alone', async (t) => {
  const { fastify, send } = await start(t)
  for (const headers of [{}, { authorization: 'Bearer wrong' }, { 'x-sync-secret': 'webhook-secret-0123456789' }])
    t.equal((await send('/api/sync/logs', { method: 'GET', headers })).status, 401)
  const answer = await fastify.inject({ url: '/api/sync/logs', headers: { authorization: `Bearer ${TOKEN}` } })
  t.match(answer, { statusCode: 200, headers: { 'content-type': 'application/x-ndjson' } })
  t.match(answer.body, /"msg":"refused: no or wrong secret"/)
  t.notMatch(answer.body, TOKEN)
  t.equal((await send('/api/sync/logs', { method: 'DELETE' })).status, 405)
})
