/**
 * Calls RabbitMQ's management API.
 *
 * @param base its address with user and password, `http://user:password@host:port`
 * @param path below `/api/`, each part already encoded
 * @throws Error with the status, when it answers anything but success
 */
export async function managementCall(base: string, method: string, path: string, body?: unknown): Promise<unknown> {
  const { origin, username, password } = new URL(base)
  const user = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
  const response = await fetch(`${origin}/api/${path}`, {
    method,
    headers: { authorization: `Basic ${Buffer.from(user).toString('base64')}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(10_000),
  })
  const text = await response.text()
  if (!response.ok) throw new Error(`RabbitMQ management API: ${method} /api/${path} gave ${response.status}`)
  return text === '' ? undefined : JSON.parse(text)
}

/** RabbitMQ's version, once its management API answers; throws until then. */
export async function managementReady(base: string): Promise<string> {
  const overview = (await managementCall(base, 'GET', 'overview')) as { rabbitmq_version: string }
  return overview.rabbitmq_version
}

/** Makes a virtual host in which the API's user may do everything. */
export async function createVhost(base: string, name: string): Promise<void> {
  const vhost = encodeURIComponent(name)
  await managementCall(base, 'PUT', `vhosts/${vhost}`)
  await managementCall(base, 'PUT', `permissions/${vhost}/${new URL(base).username}`, {
    configure: '.*',
    write: '.*',
    read: '.*',
  })
}

/** Removes a virtual host with all that is in it, and closes its connections. */
export async function deleteVhost(base: string, name: string): Promise<void> {
  await managementCall(base, 'DELETE', `vhosts/${encodeURIComponent(name)}`)
}
