import { randomBytes } from 'node:crypto'
import { type Child, freePort, startChild, untilReady } from './child.ts'
import type { Releasers } from './releasers.ts'

export interface Addresses {
  readonly clinic: string
  readonly portal: string
  readonly rabbit: string
}

/** Our two services, running. */
export interface Services {
  readonly children: readonly Child[]
  readonly ingressUrl: string
  readonly operatorToken: string
  /** Rings for the clinic as SQL Server would over HTTP; does nothing where Service Broker rings. */
  ring(): Promise<void>
  /** What every process of the demo is configured with. */
  readonly settings: Readonly<Record<string, string>>
  /** Resolves with the service that has ended though nobody asked it to. */
  readonly died: Promise<Child>
}

/** Starts the ingress and the consumer as processes of their own, and waits until both are ready. */
export async function startServices(
  addresses: Addresses,
  doorbell: 'service-broker' | 'http',
  folder: string,
  release: Releasers,
): Promise<Services> {
  const secret = () => randomBytes(24).toString('hex')
  const ingressPort = await freePort()
  const healthPort = await freePort()
  const operatorToken = secret()
  const settings = {
    SQLSERVER_URL: addresses.clinic,
    POSTGRES_URL: addresses.portal,
    RABBITMQ_URL: addresses.rabbit,
    CLINIC_TIME_ZONE: 'Asia/Baghdad',
    SYNC_WEBHOOK_SECRET: secret(),
    SYNC_OPERATOR_TOKEN: operatorToken,
    INGRESS_URL: `http://127.0.0.1:${ingressPort}`,
    INGRESS_PORT: String(ingressPort),
    HEALTH_PORT: String(healthPort),
    CLINIC_DOORBELL: doorbell,
    LOG_LEVEL: 'info',
  }
  const children = ['ingress', 'sql-to-postgres'].map((name) => {
    return startChild({ name, script: `services/${name}/src/main.ts`, settings, folder })
  })
  release.add('ingress and sql-to-postgres', () => Promise.all(children.map((child) => child.stop())))
  const [ingress, consumer] = children
  if (ingress && consumer) await Promise.all([untilReady(ingress, ingressPort), untilReady(consumer, healthPort)])
  const died = new Promise<Child>((resolve) => {
    for (const child of children) void child.ended.then(({ asked }) => asked || resolve(child))
  })
  const notify = new URL('/api/sync/queue-notify', settings.INGRESS_URL)
  return {
    children,
    ingressUrl: settings.INGRESS_URL,
    operatorToken,
    settings,
    died,
    async ring() {
      if (doorbell === 'service-broker') return
      const headers = { authorization: `Bearer ${settings.SYNC_WEBHOOK_SECRET}` }
      const answer = await fetch(notify, { method: 'POST', headers })
      await answer.body?.cancel()
    },
  }
}
