import { readSettings, type Environment } from '@clinic-sync/runtime'
import type { Place } from './until-reachable.ts'

/**
 * Host and port of both databases, as far as the settings name them; what is wrong with a setting is left to the command to say.
 * A named instance of SQL Server has no port that is known before its Browser is asked.
 */
export function databasePlaces(environment: Environment): readonly Place[] {
  const databases = [
    { names: ['SQLSERVER_ADMIN_URL', 'SQLSERVER_URL'], port: 1433 },
    { names: ['POSTGRES_ADMIN_URL', 'POSTGRES_URL'], port: 5432 },
  ] as const
  return databases.flatMap(({ names, port }) => {
    const url = names.map((name) => urlOf(name, environment)).find((found) => found !== null)
    if (!url?.hostname || (url.port === '' && url.searchParams.has('instanceName'))) return []
    return [{ host: url.hostname.replace(/^\[|\]$/g, ''), port: url.port === '' ? port : Number(url.port) }]
  })
}

function urlOf(name: Parameters<typeof readSettings>[0][number], environment: Environment): URL | null {
  try {
    const text = readSettings([name], environment)[name]
    return typeof text === 'string' && text !== '' ? new URL(text) : null
  } catch {
    return null
  }
}
