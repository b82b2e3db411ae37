import { randomBytes } from 'node:crypto'
import { createVhost, deleteVhost, type RabbitService } from '@clinic-sync/dev-services'
import type { Releasers } from './releasers.ts'

/**
 * The URL of a virtual host that is the demo's alone: on a RabbitMQ that others use, it would take their messages. One
 * that was started for the demo needs none.
 *
 * @throws Error in words for people.
 */
export async function ownVhost(rabbit: RabbitService, release: Releasers): Promise<string> {
  if (!rabbit.how.includes('(RABBITMQ_URL)')) return rabbit.url
  const { managementUrl } = rabbit
  if (managementUrl === undefined)
    throw new Error(
      'Set RABBITMQ_MANAGEMENT_URL beside RABBITMQ_URL (http://user:password@host:15672): the demo makes a virtual host of its own, so as to take no messages of yours. Or unset both.',
    )
  const name = `clinic-sync-demo-${randomBytes(4).toString('hex')}`
  await createVhost(managementUrl, name)
  release.add('virtual host', () => deleteVhost(managementUrl, name))
  return Object.assign(new URL(rabbit.url), { pathname: `/${name}` }).href
}
