import t from 'tap'
import { asOperator, start, withSecret } from './http.ts'

t.test('a test message is sent for the operator only; without an address the answer says so', async (t) => {
  const { send } = await start(t)
  const url = '/api/sync/alerts/test'
  t.equal((await send(url)).status, 401)
  t.equal((await send(url, withSecret())).status, 401)
  t.match(await send(url, asOperator()), { status: 200, body: { sent: false, message: /ALERT_WEBHOOK_URL/ } })
  t.equal((await send(url, { ...asOperator(), method: 'GET' })).status, 405)
})
