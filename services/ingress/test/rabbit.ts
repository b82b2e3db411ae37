import { startRabbit } from '@clinic-sync/dev-services'
import { randomUUID } from 'node:crypto'
import type { Test } from 'tap'

/** A RabbitMQ for this file alone: a virtual host of its own where the server is shared. */
export async function testRabbit(t: Test): Promise<string> {
  const rabbit = await startRabbit()
  t.teardown(() => rabbit.stop())
  if (rabbit.managementUrl === undefined) return rabbit.url
  const { username, password, origin } = new URL(rabbit.managementUrl)
  const headers = { authorization: `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}` }
  const vhost = `ingress-${randomUUID()}`
  const call = async (method: string) => {
    const { ok, status } = await fetch(`${origin}/api/vhosts/${vhost}`, { method, headers })
    if (!ok) throw new Error(`${method} of a virtual host: ${status}`)
  }
  await call('PUT')
  t.teardown(() => call('DELETE'))
  return Object.assign(new URL(rabbit.url), { pathname: `/${vhost}` }).href
}
