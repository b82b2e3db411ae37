import { CLASS_ADVICE, explainFailure, type SyncError } from '@clinic-sync/sync'
import { isCertificateTrouble } from '../certificate.ts'
import { type Check, checksOf } from '../check.ts'
import type { ClinicFacts } from './facts.ts'

const { ok, warn, fail } = checksOf('clinic')

const REACHABLE = "The clinic's SQL Server answers"
const YEARS: Readonly<Record<number, string>> = {
  12: '2014',
  13: '2016',
  14: '2017',
  15: '2019',
  16: '2022',
  17: '2025',
}
/** Azure SQL Database and Managed Instance keep version 12, and are current. */
const AZURE = new Set([5, 8])

/** The one fail of a clinic that does not answer; all that depends on it is left out. */
export function unreachable(error: SyncError): Check {
  const found = `${error.message.replace(/[.]$/, '')}. Left out: all other checks of the clinic and its doorbell.`
  return fail('reachable', REACHABLE, found, cureOf(error))
}

function cureOf(error: SyncError): string {
  const number = 'number' in error ? error.number : undefined
  if (number === '15517')
    return 'ALTER AUTHORIZATION ON DATABASE::[the database] TO sa; as an administrator of the server.'
  if (number === '229' || number === '916' || number === '4060')
    return 'Run migrations/sqlserver/by-hand/service_login.sql as an administrator: it lets the login of SQLSERVER_URL in.'
  if (error.code === 'SYNC_NOT_MIGRATED') return 'npm run sync -- migrate clinic'
  if (error.code === 'SYNC_CONFIG') return 'Correct SQLSERVER_URL in .env.'
  if (/refused the login/.test(error.message))
    return 'Correct user and password in SQLSERVER_URL (.env), or let the login in: migrations/sqlserver/by-hand/service_login.sql.'
  if ((/\(([A-Z\d_, ]+)\)/.exec(error.message)?.[1] ?? '').split(', ').some(isCertificateTrouble))
    return 'Name the certificate in SQLSERVER_URL (.env): &ca=<its file>, and &hostNameInCertificate=<name> where it is for another host than the URL; or add trustServerCertificate=true, where nobody can come in between.'
  if (/ENOENCRYPT/.test(error.message))
    return 'Switch encryption on in SQL Server; only where nobody can read along on the way, set encrypt=false in SQLSERVER_URL (.env) instead.'
  if (/EENCRYPT/.test(error.message))
    return 'Set encrypt=true in SQLSERVER_URL (.env): this server takes encrypted connections only.'
  // A server that says what it lacks (9002: its log is full) runs and is reached.
  const { advice } = explainFailure(String(number), 'clinic')
  if (/^\d+$/.test(String(number)))
    return Object.values(CLASS_ADVICE).includes(advice)
      ? `SQL Server answers, and refuses with error ${number}: its error log, and Microsoft's list of its errors, say more.`
      : advice
  return 'Start SQL Server, see that TCP/IP is on (SQL Server Configuration Manager), and that SQLSERVER_URL has its host and port.'
}

/** Engine and database: what they are, and whether they can. */
export function serverChecks(facts: ClinicFacts): Check[] {
  return [...engine(facts), ...database(facts), collation(facts)]
}

function engine(facts: ClinicFacts): Check[] {
  const version = facts.get('EngineVersion') ?? 'unknown'
  const major = Number.parseInt(version, 10)
  const year = YEARS[major] ?? `version ${major}`
  const azure = AZURE.has(facts.number('EngineEdition') ?? 0)
  const words = [
    azure ? 'Azure SQL' : `SQL Server ${year} (${version})`,
    facts.get('Edition'),
    facts.get('Platform'),
    `database ${facts.get('DatabaseName') ?? 'unknown'}`,
  ]
  return [
    ok('reachable', REACHABLE, `in ${facts.received - facts.sent} ms`),
    azure || major >= 13
      ? ok('version', 'SQL Server is 2016 or later', words.filter(Boolean).join(', '))
      : fail(
          'version',
          'SQL Server is 2016 or later',
          words.filter(Boolean).join(', '),
          'Upgrade SQL Server to 2016 or later: earlier ones cannot read JSON.',
        ),
  ]
}

function database(facts: ClinicFacts): Check[] {
  const checks: Check[] = []
  const level = facts.number('CompatibilityLevel')
  const title = 'The database may read JSON (compatibility level 130)'
  if (level !== null)
    checks.push(
      level >= 130
        ? ok('compatibility', title, `level ${level}`)
        : fail(
            'compatibility',
            title,
            `level ${level}`,
            `ALTER DATABASE ${facts.database} SET COMPATIBILITY_LEVEL = 130;`,
          ),
    )
  const owner = facts.get('Owner')
  if (owner !== null && owner !== undefined)
    checks.push(
      owner === 'valid'
        ? ok('owner', 'The database has an owner', 'a login of this server')
        : fail(
            'owner',
            'The database has an owner',
            'it has none that this server knows, as after a restore on another server: what runs as dbo fails (error 15517)',
            `ALTER AUTHORIZATION ON DATABASE::${facts.database} TO sa;`,
          ),
    )
  const nested = facts.get('NestedTriggers')
  if (nested !== null && nested !== undefined)
    checks.push(
      nested === '1'
        ? ok('nested-triggers', 'Triggers may fire triggers', "'nested triggers' is 1")
        : fail(
            'nested-triggers',
            'Triggers may fire triggers',
            "'nested triggers' is 0 on this server: the outbox is written by triggers, so its doorbell never rings",
            "EXEC sp_configure 'nested triggers', 1; RECONFIGURE;",
          ),
    )
  return checks
}

/** Any will do: texts are compared as bytes. */
function collation(facts: ClinicFacts): Check {
  const [own, server] = [facts.get('Collation') ?? 'unknown', facts.get('ServerCollation')]
  const differs = server !== undefined && server !== null && server !== own ? `, the server's is ${server}` : ''
  return ok('collation', 'The collation', `${own}${differs} (any will do)`)
}

/** Facts that matter and that this login may not see. */
export function unseenChecks(facts: ClinicFacts): Check[] {
  const hidden = [
    'CompatibilityLevel',
    'Owner',
    'NestedTriggers',
    'IsBrokerEnabled',
    'UtcOffsetMinutes',
    'LastQueueID',
  ].filter((name) => facts.get(name) === null)
  if (hidden.length === 0) return []
  return [
    warn(
      'unseen',
      'The login may see what the doctor looks at',
      `not seen: ${hidden.join(', ')}`,
      'npm run sync -- doctor --as-admin',
    ),
  ]
}
