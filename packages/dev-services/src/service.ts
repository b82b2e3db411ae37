/** A service that is there to be used, found or started. */
export type DevService = {
  url: string
  /** One line for people: what was taken, such as `RabbitMQ: private instance of … 3.10.8 on port 41234`. */
  how: string
  /** Ends what was started for it and removes its data; nothing happens to a service that was only found. */
  stop(): Promise<void>
  /**
   * Ends the server as a crash would and starts it again on the same port with the same data. Absent where the
   * server is not ours to stop.
   */
  restart?(): Promise<void>
}

/** RabbitMQ, with its management API (`http://user:password@host:port`) where one is known. */
export type RabbitService = DevService & {
  managementUrl?: string
  /** `amqps://…`, where it was started with a certificate. */
  tlsUrl?: string
  /** The first half of `restart`. @returns the second */
  kill?(): Promise<() => Promise<void>>
}

/** SQL Server, with the address of the least-privilege login that the services should use, where there is one. */
export type SqlServerService = DevService & { serviceUrl?: string }

/** A Chromium that runs without a window. `url`: where its DevTools answer; `folder`: its profile is in there. */
export type BrowserService = DevService & { readonly folder: string }

export type ServiceName = 'postgres' | 'rabbit' | 'sqlserver' | 'browser'

export type ServiceOptions = {
  /** May a missing package be installed without asking? Default: see `mayInstall`. */
  yes?: boolean
  /** Told what takes long or needs to be known, one line each. Default: nobody. */
  say?: (line: string) => void
  /** Default: this process's. */
  env?: NodeJS.ProcessEnv
  /** Only these ways are tried, in the usual order. Default: all. */
  ways?: readonly Way[]
  /** Certificate and key (PEM) of a Postgres or RabbitMQ that is started here: it takes encrypted connections as well. */
  tls?: { readonly cert: string; readonly key: string }
}

/** The ways to a service, in the order in which they are tried. */
export type Way = 'url' | 'embedded' | 'private' | 'docker' | 'package'

/** Thrown when no way led to a service; its message lists what can be done. */
export class NoServiceError extends Error {
  override name = 'NoServiceError'
}

/** One way to a service: gives the service, or says why it is none here. */
export type Attempt<T extends object> = { way: Way; label: string; try(): Promise<T | string> }

/**
 * Takes the first way that leads somewhere. An attempt that throws counts as none, and its message is kept for the end.
 *
 * @throws NoServiceError listing each way and what stood in it, then `advice`.
 */
export async function firstOf<T extends object>(
  name: string,
  attempts: Attempt<T>[],
  options: ServiceOptions,
  advice: string,
): Promise<T> {
  const reasons: string[] = []
  for (const attempt of attempts) {
    if (options.ways && !options.ways.includes(attempt.way)) continue
    const result = await attempt
      .try()
      .catch((error: unknown) => (error instanceof Error ? error.message : String(error)))
    if (typeof result !== 'string') return result
    reasons.push(`  - ${attempt.label}: ${result}`)
  }
  throw new NoServiceError(`${name} is needed, and there is none here. Tried:\n${reasons.join('\n')}\n${advice}`)
}

/** The address of a service for people: without user, password and parameters. */
export function shown(url: string): string {
  try {
    const { protocol, host, pathname } = new URL(url)
    return `${protocol}//${host}${pathname === '/' ? '' : pathname}`
  } catch {
    return 'an address that cannot be read'
  }
}
