import type { Side, WebhookKey } from '@clinic-sync/contracts'
import Fastify from 'fastify'
import { cannotListen, type Metrics, type RecentLines, type Running } from '@clinic-sync/runtime'
import { AlertWatch, type AlertWatchOptions } from './alerts/watch.ts'
import { app, options, type PageParts } from './app.ts'
import { limitConnections } from './connections.ts'
import { Ingress } from './ingress.ts'
import type { IngressOptions } from './ingress-options.ts'
import { PageDeadLetters, type PageDeadLettersOptions } from './page/dead-letters.ts'
import { type HistoryOptions, MinuteHistory } from './page/history.ts'
import { PageVersions, type PageVersionsOptions } from './page/versions.ts'
import type { RecordSide, StatusSources, YardDatabase } from '@clinic-sync/operations'
import { startLines } from './start-lines.ts'
import { StatusBoard } from './status/board.ts'
import { Changes } from './status/changes.ts'
import { watchElsewhere } from './status/elsewhere.ts'
import { type StatusOptions, statusSources } from './status/sources.ts'
import { Verifying } from './status/verifying.ts'

export interface ServeOptions extends IngressOptions {
  readonly host: string
  /** 0: any free port. */
  readonly port: number
  readonly webhookSecret: string
  /** None: signed webhooks are refused. */
  readonly webhookKeys: readonly WebhookKey[]
  readonly operatorToken: string
  /** INGRESS_TRUST_PROXY: whose X-Forwarded-For says where a request is from. */
  readonly trustProxy?: readonly string[]
  readonly metrics?: Metrics | undefined
  /** SYNC_COMMAND: how the commands are started here; undefined: from a checkout. */
  readonly command?: string | undefined
  /** What it has logged last; missing: `GET /api/sync/logs` is not there. */
  readonly recent?: Pick<RecentLines, 'text'> | undefined
  /** Missing: `GET /api/sync/status` is not there. */
  readonly status?: StatusOptions | undefined
  /** For tests: shorter minutes. */
  readonly history?: Pick<HistoryOptions, 'minuteMs' | 'now'>
  /** Missing: the status page's own routes are not there. */
  readonly page?: PageOptions | undefined
  /** Missing: nobody is alerted. Its senses must be among those that `observer`, the broker's and the databases' tell. */
  readonly alerts?: Omit<AlertWatchOptions, 'log' | 'observer'> | undefined
}

/** Whom the page's routes ask. */
export interface PageOptions extends Omit<PageDeadLettersOptions, 'log' | 'databases'> {
  readonly databases: Readonly<Record<Side, YardDatabase & RecordSide>>
  readonly migrations: PageVersionsOptions['migrations']
  readonly rabbitmqVersion: () => string | null
}

export interface Served extends Running {
  readonly ingress: Ingress
  /** Where it listens, such as `http://127.0.0.1:3000`. */
  readonly url: string
}

/**
 * Listens, then rings both drains. Databases and broker may be down: it answers, retries, and says so in /readyz.
 *
 * @throws SyncError SYNC_CONFIG where it cannot listen
 */
export async function serve(settings: ServeOptions): Promise<Served> {
  const { host, port, log, webhookSecret, webhookKeys, operatorToken } = settings
  const { metrics } = settings
  const changes = new Changes()
  const history = new MinuteHistory({ share: (minutes) => ingress.share(minutes), ...settings.history })
  const ingress: Ingress = new Ingress({
    ...settings,
    observer: changes.observerBeside(settings.observer ?? metrics?.observer),
    onSettled: (batches) => {
      history.heard(batches)
      changes.changed()
    },
    onCounted: (minutes) => history.told(minutes),
    onKept: () => verifying?.heardOfKept(),
  })
  const verifying: Verifying | undefined =
    settings.status &&
    new Verifying({
      ...settings.status,
      changed: () => changes.changed(),
      share: () => ingress.shareKept(),
      log,
    })
  const alerts = settings.alerts && alertWatch(ingress, verifying, settings, settings.alerts)
  const sources =
    settings.status &&
    verifying &&
    sourcesOf(ingress, changes, verifying, settings, settings.status, () => alerts?.reason ?? null)
  const board = settings.status && sources && statusBoard(ingress, changes, sources, settings, settings.status)
  const server = Fastify({ ...options, loggerInstance: log, trustProxy: [...(settings.trustProxy ?? [])] })
  limitConnections(server.server)
  const { drainers: drains, bells, state } = ingress
  const testDoorbell = (side: Side) => ingress.testDoorbell(side)
  await server.register(app, {
    drains,
    bells,
    testDoorbell,
    testAlert: alerts && (() => alerts.test()),
    state,
    webhookSecret,
    webhookKeys,
    operatorToken,
    metrics,
    recent: settings.recent,
    command: settings.command,
    board,
    history,
    verifying,
    page: settings.page && pageParts(settings.page, sources, settings),
  })
  const url = await server
    .listen({ host, port, listenTextResolver: (address) => `listening at ${address}` })
    .catch((cause: unknown) => {
      throw cannotListen(cause, { host, port, settings: 'INGRESS_HOST and INGRESS_PORT' })
    })
  for (const line of startLines(settings)) log.info(line)
  ingress.start()
  alerts?.start()
  return {
    ingress,
    url,
    /** Answers the requests in flight, finishes the batches in flight. */
    async close() {
      await alerts?.close()
      history.stop()
      const closed = server.close()
      await Promise.all([closed, ingress.stop(closed)])
    },
  }
}

function pageParts(
  page: PageOptions,
  sources: StatusSources | undefined,
  { log, clinicDoorbell, portalDoorbell }: ServeOptions,
): PageParts {
  const { databases, migrations, rabbitmqVersion: rabbitmq } = page
  const doorbells = { clinic: clinicDoorbell, portal: portalDoorbell }
  return {
    databases,
    records: sources && { ...sources, ...databases },
    deadLetters: new PageDeadLetters({ ...page, log }),
    versions: new PageVersions({ migrations, rabbitmq, doorbells }),
  }
}

function alertWatch(
  ingress: Ingress,
  verifying: Verifying | undefined,
  { log, observer, metrics }: ServeOptions,
  alerts: NonNullable<ServeOptions['alerts']>,
): AlertWatch {
  const verification = verifying && (async () => (await verifying.part()).last)
  return new AlertWatch({ verification, ...alerts, log, observer: observer ?? metrics?.observer }, ingress)
}

function sourcesOf(
  ingress: Ingress,
  changes: Changes,
  verifying: Verifying,
  { clinicDoorbell: clinic, portalDoorbell: portal }: ServeOptions,
  status: StatusOptions,
  alerts: () => string | null,
): StatusSources {
  const { state } = ingress
  return statusSources(status, {
    state,
    changes,
    verifying,
    leads: () => ingress.leads,
    leader: () => ingress.leader(),
    alerts,
    doorbells: { clinic, portal },
  })
}

function statusBoard(
  { state }: Ingress,
  changes: Changes,
  sources: StatusSources,
  { log }: ServeOptions,
  status: StatusOptions,
): StatusBoard {
  return new StatusBoard({
    sources,
    listen: (listener) => changes.listen(listener),
    elsewhere: (signal) =>
      watchElsewhere(
        {
          ...status,
          own: () => JSON.stringify(state.read()),
          changed: () => changes.changed(),
          log,
        },
        signal,
      ),
  })
}
