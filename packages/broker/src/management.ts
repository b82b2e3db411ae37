import { request as http, type RequestOptions } from 'node:http'
import { request as https } from 'node:https'
import { SyncError } from '@clinic-sync/sync'
import { brokerAddress } from './address.ts'
import { topologyNames } from './topology.ts'

/** A queue's own arguments, and what policies add to them. */
export interface ManagedQueue {
  readonly arguments: unknown
  readonly policy: unknown
  readonly operatorPolicy: unknown
  readonly effectivePolicy: unknown
  readonly node: unknown
  readonly members: unknown
  readonly online: unknown
}

export interface BrokerManagement {
  readonly queues: ReadonlyMap<string, ManagedQueue>
  /** Of the virtual host: name, pattern, definition, priority. */
  readonly policies: readonly unknown[]
  readonly operatorPolicies: readonly unknown[]
  /** Nodes that take nothing, for want of memory or disk. */
  readonly alarms: readonly unknown[]
}

export interface ManagementOptions {
  /** Default: RabbitMQ's own, 15672, and with amqps:// 15671. */
  readonly port?: number
  /** For each answer, milliseconds. Default 5 s. */
  readonly askMs?: number
}

const MAX_BYTES = 8_000_000

/**
 * What RabbitMQ's management API says of our queues, on the host of RABBITMQ_URL and with its login, which needs the tag `monitoring`. It
 * travels as it does to RabbitMQ itself: with amqps:// encrypted, and to a server with the right certificate only.
 *
 * @throws SyncError SYNC_BROKER_DOWN where it does not answer, SYNC_CONFIG
 */
export async function brokerManagement(url: string, options: ManagementOptions = {}): Promise<BrokerManagement> {
  // Throws where the URL cannot be read.
  brokerAddress(url)
  const vhost = encodeURIComponent(decodeURIComponent(new URL(url).pathname.slice(1)) || '/')
  const ask = async (path: string): Promise<readonly Record<string, unknown>[]> => {
    const found: unknown = await get(url, path, options)
    return Array.isArray(found) ? (found as Record<string, unknown>[]) : []
  }
  const [queues, policies, operatorPolicies, nodes] = await Promise.all([
    ask(`queues/${vhost}`),
    ask(`policies/${vhost}`),
    ask(`operator-policies/${vhost}`).catch(() => []),
    ask('nodes').catch(() => []),
  ])
  const ours = topologyNames()
  return {
    queues: new Map(
      queues
        .filter(({ name }) => ours.has(String(name)))
        .map((queue) => [
          String(queue.name),
          {
            arguments: queue.arguments,
            policy: queue.policy ?? null,
            operatorPolicy: queue.operator_policy ?? null,
            effectivePolicy: queue.effective_policy_definition ?? null,
            node: queue.node,
            members: queue.members ?? null,
            online: queue.online ?? null,
          },
        ]),
    ),
    policies: policies.map(policyOf),
    operatorPolicies: operatorPolicies.map(policyOf),
    alarms: nodes.map(({ name, mem_alarm: memory, disk_free_alarm: disk, running }) => ({
      name,
      running,
      memory,
      disk,
    })),
  }
}

const policyOf = (policy: Record<string, unknown>) => ({
  name: policy.name,
  pattern: policy.pattern,
  appliesTo: policy['apply-to'],
  definition: policy.definition,
  priority: policy.priority,
})

function get(url: string, path: string, { port, askMs = 5_000 }: ManagementOptions): Promise<unknown> {
  const { tls } = brokerAddress(url)
  const { protocol, hostname, username, password } = new URL(url)
  const encrypted = protocol === 'amqps:'
  const { credentials: _, ...trusted } = tls
  const where: RequestOptions = {
    ...(encrypted && trusted),
    host: hostname.replace(/^\[|\]$/g, ''),
    port: port ?? (encrypted ? 15_671 : 15_672),
    path: `/api/${path}`,
    auth: `${decodeURIComponent(username) || 'guest'}:${decodeURIComponent(password) || 'guest'}`,
    agent: false,
    signal: AbortSignal.timeout(askMs),
  }
  return new Promise((resolve, reject) => {
    const refuse = (why: string) =>
      reject(new SyncError('SYNC_BROKER_DOWN', `RabbitMQ's management API at port ${where.port}: ${why}`))
    const request = (encrypted ? https : http)(where, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        text += chunk
        if (text.length > MAX_BYTES) response.destroy()
      })
      response.on('error', () => refuse('the answer broke off'))
      response.on('end', () => {
        if (response.statusCode !== 200) return refuse(`it answered ${response.statusCode}`)
        try {
          resolve(JSON.parse(text))
        } catch {
          refuse('something else answers there')
        }
      })
    })
    request.on('error', (error: NodeJS.ErrnoException) =>
      refuse(
        error.name === 'AbortError' || error.name === 'TimeoutError'
          ? `no answer within ${askMs / 1000} s`
          : (error.code ?? error.name),
      ),
    )
    request.end()
  })
}
