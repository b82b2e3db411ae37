import { type Check, checksOf, counted } from '../check.ts'
import type { ClinicFacts } from './facts.ts'

const { ok, warn, fail } = checksOf('clinic')

/**
 * What the services' login may do: all it needs, and no more.
 *
 * @param expected procedures of schema sync that the applied files make. Others are not there to be executed: those of a doorbell
 *   that is not the one, or of a migration that is missing, which says so by itself.
 */
export function rightsChecks(facts: ClinicFacts, expected: ReadonlySet<string>): Check[] {
  const rights = facts.all('right:')
  if (rights.length === 0) return []
  const procedures = rights.filter(([name]) => expected.has(name.replace(/^EXECUTE sync\./, '')))
  const refused = procedures.filter(([, has]) => has === '0').map(([name]) => name.slice('EXECUTE '.length))
  const title = 'The login may execute the procedures of schema sync'
  const more = tooMuch(rights)
  return [
    refused.length === 0
      ? ok('procedures', title, counted(procedures.length, 'procedure'))
      : fail(
          'procedures',
          title,
          `it may not execute ${refused.join(', ')}`,
          'Run migrations/sqlserver/by-hand/service_login.sql as an administrator: it puts the login into the role clinic_sync.',
        ),
    more === null
      ? ok('least-privilege', 'The login may do nothing else', 'it reads no table')
      : warn(
          'least-privilege',
          'The login may do nothing else',
          more,
          'Run migrations/sqlserver/by-hand/service_login.sql, and put its login into SQLSERVER_URL and the present one into SQLSERVER_ADMIN_URL.',
        ),
  ]
}

function tooMuch(rights: readonly (readonly [name: string, has: string | null])[]): string | null {
  const has = (name: string) => rights.some(([right, value]) => right === name && value === '1')
  if (has('sysadmin')) return 'it is sysadmin: it may do everything on the whole server'
  if (has('db_owner')) return 'it is db_owner: it may do everything in this database'
  const readable = rights
    .filter(([name, value]) => name.startsWith('SELECT ') && value === '1')
    .map(([name]) => name.slice('SELECT '.length))
  return readable.length === 0 ? null : `it may read ${readable.join(', ')}`
}

/** Software that any trigger on its tables breaks. */
export function clientChecks(facts: ClinicFacts): Check[] {
  const modules = facts.all('atRisk:').map(([name]) => name)
  const title = 'Software that uses OUTPUT without INTO'
  const outside =
    "software outside the database cannot be seen from here: EF Core 7 and later fails with error 334 until it is told of the triggers, ToTable(t => t.HasTrigger('…'))"
  if (modules.length === 0)
    return [ok('clients', title, `none of the clinic's own procedures and triggers; ${outside}`)]
  return [
    warn(
      'clients',
      title,
      `${modules.join(', ')}: as it seems, error 334 awaits them on a table with triggers; ${outside}`,
      'Give the OUTPUT clause of each an INTO @table, and select from that.',
    ),
  ]
}
