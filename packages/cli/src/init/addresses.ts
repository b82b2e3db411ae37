import { parseAddress } from '@clinic-sync/clinic'
import { SyncError } from '@clinic-sync/sync'
import { isThisMachine } from '../doctor/encryption.ts'

const wrong = (message: string) => new SyncError('SYNC_USAGE', message)

const HOST = /^\s*(?:tcp:)?([^\\,:\s/]+|\[[^\]]+\])(?:\\([^,:\s]+))?(?:[,:](\d+))?\s*$/i

/** Whether that is how a SQL Server is named. */
export const isClinicHost = (text: string): boolean => HOST.test(text)

/**
 * The SQL Server's URL from what people know of it.
 *
 * @param host as SSMS takes it: `host`, `host:port`, `host,port` or `host\INSTANCE`.
 * @param login a SQL login, or a Windows account as `DOMAIN\name`.
 */
export function clinicUrl(host: string, database: string, login: string, password: string): string {
  const [, server = '', instance, port] = HOST.exec(host) ?? []
  if (server === '') throw wrong('Give the host as SSMS takes it: host, host:port or host\\INSTANCE.')
  const [, domain, name = login] = /^([^\\]+)\\(.+)$/.exec(login) ?? []
  const url = new URL(`mssql://x@${server === '.' || server === '(local)' ? 'localhost' : server}/`)
  if (port !== undefined) url.port = port
  url.pathname = `/${encodeURIComponent(database)}`
  url.searchParams.set('encrypt', 'true')
  url.searchParams.set('trustServerCertificate', 'false')
  // SQL Server Browser is asked for a port only where none is known.
  if (instance !== undefined && port === undefined) url.searchParams.set('instanceName', instance)
  if (domain !== undefined) url.searchParams.set('domain', domain)
  return withLogin(url.href, name, password)
}

/** The same address with another login. What a SQL login is given, a Windows account's domain is not for. */
export function withLogin(url: string, user: string, password: string): string {
  const copy = new URL(url)
  copy.username = encodeURIComponent(user)
  copy.password = encodeURIComponent(password)
  return copy.href
}

/** The same address with other parameters; null takes one away. */
export function withParameters(url: string, parameters: Readonly<Record<string, string | null>>): string {
  const copy = new URL(url)
  for (const [name, value] of Object.entries(parameters))
    if (value === null) copy.searchParams.delete(name)
    else copy.searchParams.set(name, value)
  // URLSearchParams writes / as %2F; pg's and our own readers take both, people only one.
  copy.search = copy.search.replaceAll('%2F', '/')
  return copy.href
}

/**
 * An address from the command line, where every process can read it.
 *
 * @param option its name, for the message.
 * @throws SyncError SYNC_USAGE if it holds a password, or is none.
 */
export function withoutPassword(text: string, option: string, scheme: RegExp): string {
  if (!URL.canParse(text) || !scheme.test(new URL(text).protocol))
    throw wrong(
      `${option} must be an address such as ${option === '--sqlserver' ? 'mssql://login@host:1433/database' : 'postgres://user@host:5432/database'}.`,
    )
  if (new URL(text).password !== '')
    throw wrong(
      `${option} holds a password, which everybody on this machine can read in the list of processes: take it out, and give it with ${option}-password-file. Change that password.`,
    )
  return text
}

/** The host's part of the password-less address, for people. */
export const hostOf = (url: string): string => new URL(url).host

/** The name under which a container finds the machine that it runs on. */
export const DOCKER_HOST = 'host.docker.internal'

/** Whether the address leads to the machine that asks: in a container that is the container. */
export const isLoopback = (url: string): boolean => isThisMachine(new URL(url).hostname)

/** The same, by the name that it has in a container as well. */
export const isThisHost = (url: string): boolean => isLoopback(url) || new URL(url).hostname === DOCKER_HOST

/** The same address as a container on this machine sees it. */
export function fromContainers(url: string): string {
  if (!isLoopback(url)) return url
  const copy = new URL(url)
  copy.hostname = DOCKER_HOST
  return copy.href
}

/** The user's name in an address. */
export const userOf = (url: string): string => decodeURIComponent(new URL(url).username)
export const passwordOf = (url: string): string => decodeURIComponent(new URL(url).password)

/** The name of the services' user there: Supabase's poolers want the project behind it. */
export function portalServiceUser(adminUrl: string, login: string): string {
  const [, project] = /^[^.]+\.([a-z0-9]+)$/.exec(userOf(adminUrl)) ?? []
  return project !== undefined && /\.pooler\.supabase\.com$/i.test(new URL(adminUrl).hostname)
    ? `${login}.${project}`
    : login
}

/** @throws SyncError where the SQL Server's URL cannot be used. */
export const checkClinicUrl = (url: string): void => void parseAddress(url)
