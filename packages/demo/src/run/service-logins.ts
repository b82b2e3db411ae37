import { randomBytes } from 'node:crypto'
import { BROKER_RIGHTS, type BrokerUser, declareBroker } from '@clinic-sync/broker'
import { loginSql } from '@clinic-sync/cli'
import { managementCall } from '@clinic-sync/dev-services'
import pg from 'pg'
import type { Releasers } from './releasers.ts'

/**
 * A login on the portal's server as the services have it, made as an operator makes it by hand. A role is the whole server's: it has a
 * name of its own, and goes at the end.
 *
 * @param url of the migrated portal, with the role that migrated it.
 * @returns the portal's URL with that login.
 */
export async function portalServiceUrl(url: string, release: Releasers): Promise<string> {
  const [name, password] = [
    `clinic_sync_service_${randomBytes(4).toString('hex')}`,
    randomBytes(18).toString('base64url'),
  ]
  await execute(url, loginSql('portal', name, password))
  // The database is still there: what this release comes before is what was added earlier.
  release.add('portal login', () => execute(url, `DROP OWNED BY ${name}; DROP ROLE ${name}`))
  return Object.assign(new URL(url), { username: name, password }).href
}

/**
 * RabbitMQ's users, each with its own rights in one virtual host, and the queues, which they may not declare themselves. Users are the whole
 * server's: they have names of their own, and go at the end.
 *
 * @param url of the virtual host, with a user who may do everything there.
 * @returns the virtual host's URL with each user's login.
 */
export async function brokerUrls(
  url: string,
  managementUrl: string,
  release: Releasers,
): Promise<Readonly<Record<BrokerUser, string>>> {
  const suffix = randomBytes(4).toString('hex')
  const { pathname } = new URL(url)
  const vhost = pathname.length > 1 ? pathname.slice(1) : '%2F'
  // First: RabbitMQ 4.3 refuses rights on the routing keys of an exchange that is not there.
  await declareBroker({ url })
  const made = BROKER_RIGHTS.map(async ({ user, tags, permissions, topics }) => {
    const [name, password] = [`${user}-${suffix}`, randomBytes(18).toString('base64url')]
    await managementCall(managementUrl, 'PUT', `users/${name}`, { password, tags: tags.join(',') })
    release.add(`RabbitMQ user ${user}`, () => managementCall(managementUrl, 'DELETE', `users/${name}`))
    await managementCall(managementUrl, 'PUT', `permissions/${vhost}/${name}`, permissions)
    for (const topic of topics) await managementCall(managementUrl, 'PUT', `topic-permissions/${vhost}/${name}`, topic)
    return [user, Object.assign(new URL(url), { username: name, password }).href] as const
  })
  return Object.fromEntries(await Promise.all(made)) as Record<BrokerUser, string>
}

async function execute(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => undefined)
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}
