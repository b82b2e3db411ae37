import { randomBytes } from 'node:crypto'
import type { BrokerUser } from '@clinic-sync/broker'
import { type Child, freePort, startChild, untilReady } from './child.ts'
import type { Releasers } from './releasers.ts'
import type { Doorbell } from './switch-doorbell.ts'

export interface Addresses {
  /** With a login that may do everything: staff, and who installs. */
  readonly clinic: string
  /** With the services' own login, where there is one. */
  readonly clinicServices: string
  readonly portal: string
  readonly portalServices?: string
  readonly rabbit: string
  /** With the login of each service, and the operator's. */
  readonly rabbitUsers?: Readonly<Record<BrokerUser, string>>
}

/** Our three services, running. */
export interface Services {
  readonly children: readonly Child[]
  readonly ingressUrl: string
  readonly operatorToken: string
  /** Rings for the clinic as SQL Server would over HTTP; does nothing where Service Broker rings. */
  ring(): Promise<void>
  /** What the operator's commands are configured with. */
  readonly settings: Readonly<Record<string, string>> & { readonly CLINIC_TIME_ZONE: string }
  /** Resolves with the service that has ended though nobody asked it to. */
  readonly died: Promise<Child>
}

const CONSUMERS = ['sql-to-postgres', 'postgres-to-sql'] as const

/**
 * Starts the ingress and both consumers as processes of their own, each with the settings, those that are its own, and a port that was
 * free, and waits until all are ready. What has been started is handed to `onStarted` at once, so that it is stopped whatever follows.
 */
export async function startProcesses(
  settings: Readonly<Record<string, string>>,
  folder: string,
  onStarted: (children: readonly Child[]) => void,
  ownOf: (service: 'ingress' | (typeof CONSUMERS)[number]) => Readonly<Record<string, string>> = () => ({}),
): Promise<{ readonly children: readonly Child[]; readonly ingressUrl: string; readonly healthUrls: string }> {
  const [ingressPort, ...healthPorts] = [await freePort(), await freePort(), await freePort()]
  const own = { INGRESS_PORT: String(ingressPort) }
  const start = (name: 'ingress' | (typeof CONSUMERS)[number], port: object) =>
    startChild({
      name,
      script: `services/${name}/src/main.ts`,
      settings: { ...settings, ...ownOf(name), ...port },
      folder,
    })
  const children = [
    start('ingress', own),
    ...CONSUMERS.map((name, i) => start(name, { HEALTH_PORT: String(healthPorts[i]) })),
  ]
  onStarted(children)
  const ports = [ingressPort, ...healthPorts]
  await Promise.all(children.map((child, i) => untilReady(child, Number(ports[i]))))
  const [ingressUrl = '', ...healthUrls] = ports.map((port) => `http://127.0.0.1:${port}`)
  return { children, ingressUrl, healthUrls: healthUrls.join(',') }
}

/** Starts the demo's services with secrets made up for this run. */
export async function startServices(
  addresses: Addresses,
  { doorbell, timeZone }: { doorbell: Doorbell; timeZone: string },
  folder: string,
  release: Releasers,
): Promise<Services> {
  const secret = () => randomBytes(24).toString('hex')
  const operatorToken = secret()
  const { portal, portalServices = portal, rabbit, rabbitUsers } = addresses
  const [clinicUrl, portalUrl] = [{ SQLSERVER_URL: addresses.clinicServices }, { POSTGRES_URL: portalServices }]
  // Each has the addresses that it needs, and a login of its own.
  const own = {
    ingress: { ...clinicUrl, ...portalUrl, RABBITMQ_URL: rabbitUsers?.ingress ?? rabbit },
    'sql-to-postgres': { ...portalUrl, RABBITMQ_URL: rabbitUsers?.['sql-to-postgres'] ?? rabbit },
    'postgres-to-sql': { ...clinicUrl, RABBITMQ_URL: rabbitUsers?.['postgres-to-sql'] ?? rabbit },
  }
  const settings = {
    CLINIC_TIME_ZONE: timeZone,
    SYNC_WEBHOOK_SECRET: secret(),
    SYNC_OPERATOR_TOKEN: operatorToken,
    CLINIC_DOORBELL: doorbell,
    LOG_LEVEL: 'info',
  }
  const { children, ingressUrl, healthUrls } = await startProcesses(
    settings,
    folder,
    (started) => release.add('services', () => Promise.all(started.map((child) => child.stop()))),
    (name) => own[name],
  )
  const died = new Promise<Child>((resolve) => {
    for (const child of children) void child.ended.then(({ asked }) => asked || resolve(child))
  })
  const notify = new URL('/api/sync/queue-notify', ingressUrl)
  return {
    children,
    ingressUrl,
    operatorToken,
    settings: {
      ...clinicUrl,
      ...portalUrl,
      RABBITMQ_URL: rabbitUsers?.operator ?? rabbit,
      ...settings,
      SQLSERVER_ADMIN_URL: addresses.clinic,
      POSTGRES_ADMIN_URL: portal,
      INGRESS_URL: ingressUrl,
      HEALTH_URLS: healthUrls,
    },
    died,
    async ring() {
      if (doorbell === 'service-broker') return
      const headers = { authorization: `Bearer ${settings.SYNC_WEBHOOK_SECRET}` }
      const answer = await fetch(notify, { method: 'POST', headers })
      await answer.body?.cancel()
    },
  }
}
