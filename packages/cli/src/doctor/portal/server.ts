import type { PortalFacts } from '@clinic-sync/portal'
import type { SyncError } from '@clinic-sync/sync'
import { isCertificateTrouble } from '../certificate.ts'
import { type Check, checksOf, counted } from '../check.ts'
import { skew } from '../skew.ts'
import { quoted } from './facts.ts'

const { ok, warn, fail } = checksOf('portal')

/** What makes the services' role. */
const ROLE_FILE = '99_service_role.sql'
const REACHABLE = "The portal's Postgres answers"

/** The one fail of a portal that does not answer; all that depends on it is left out. */
export function unreachable(error: SyncError): Check {
  const found = `${error.message.replace(/[.]$/, '')}. Left out: all other checks of the portal and its doorbell.`
  const number = 'number' in error ? String(error.number) : ''
  const todo =
    error.code === 'SYNC_CONFIG'
      ? 'Correct POSTGRES_URL in .env.'
      : isCertificateTrouble(number)
        ? 'Write ?sslrootcert=<path of the certificate that the server is signed with> into POSTGRES_URL (.env; Supabase: Database Settings → SSL Configuration), and the host as the certificate names it.'
        : /does not support SSL/.test(error.message)
          ? 'Switch TLS on in that Postgres; only where nobody can read along on the way, write ?sslmode=disable into POSTGRES_URL (.env) instead.'
          : number.startsWith('28')
            ? 'Correct user and password in POSTGRES_URL (.env).'
            : number === '3D000'
              ? 'Correct the database, the last part of POSTGRES_URL (.env).'
              : 'Check that POSTGRES_URL has the right host and port, and that the project is not paused (Supabase → Project).'
  return fail('reachable', REACHABLE, found, todo)
}

/** The server, the role, and whether it may write. */
export function serverChecks({ server, clock, tables, migrations }: PortalFacts): Check[] {
  const { version, database, writer, readOnly } = server
  const number = `${Math.floor(version / 10_000)}.${version % 10_000}`
  const title = 'Postgres is 14 or later'
  return [
    ok('reachable', REACHABLE, `in ${clock.received - clock.sent} ms`),
    version >= 140_000
      ? ok('version', title, `Postgres ${number}, database ${database}`)
      : fail('version', title, `Postgres ${number}`, 'Upgrade Postgres to 14 or later.'),
    ...(readOnly
      ? [
          fail(
            'writable',
            'The database takes writes',
            'it is read-only: a standby, or its disk is full',
            'Put the primary into POSTGRES_URL, or make room (Supabase → Database → Disk).',
          ),
        ]
      : []),
    ...policyChecks(writer, tables),
    ...rightChecks(writer, tables),
    ...(migrations?.has(ROLE_FILE) === true ? [leastPrivilege(server)] : []),
    clockCheck(clock),
  ]
}

function policyChecks(role: string, tables: PortalFacts['tables']): Check[] {
  const title = 'No policy stops the sync'
  const stopped = tables.filter((table) => table.rowSecurityStopsUs)
  if (tables.length === 0) return []
  if (stopped.length === 0) return [ok('policies', title, `none applies to role ${role}`)]
  const forced = stopped.filter((table) => table.owned && table.forced)
  const found = `policies apply to role ${role} on ${stopped.map(({ name }) => name).join(', ')}`
  if (forced.length === stopped.length) {
    const todo = forced.map(({ name }) => `ALTER TABLE public.${name} NO FORCE ROW LEVEL SECURITY;`).join(' ')
    return [fail('policies', title, `${found}: FORCE ROW LEVEL SECURITY is set`, todo)]
  }
  const todo = `ALTER ROLE ${quoted(role)} BYPASSRLS; as a superuser, or put the tables' owner (Supabase's postgres) into POSTGRES_URL.`
  return [fail('policies', title, found, todo)]
}

function rightChecks(role: string, tables: PortalFacts['tables']): Check[] {
  const lacking = tables.filter((table) => table.missingRights.length > 0)
  if (lacking.length === 0) return []
  const names = lacking.map(({ name }) => `public.${name}`).join(', ')
  return [
    fail(
      'rights',
      'The role may read and write the synced tables',
      lacking.map(({ name, missingRights }) => `${name}: no ${missingRights.join(', ')}`).join('; '),
      `GRANT SELECT, INSERT, UPDATE, DELETE ON ${names} TO ${quoted(role)};`,
    ),
  ]
}

function leastPrivilege({ role, hasTables }: PortalFacts['server']): Check {
  const title = 'The login may do nothing else'
  if (!hasTables) return ok('least-privilege', title, 'it reads no table')
  return warn(
    'least-privilege',
    title,
    `role ${role} may read or write tables itself`,
    'Run migrations/postgres/by-hand/service_login.sql, and put its login into POSTGRES_URL and the present one into POSTGRES_ADMIN_URL.',
  )
}

function clockCheck(clock: PortalFacts['clock']): Check {
  const seconds = skew(clock) / 1000
  const title = "The portal's clock agrees with this machine's"
  const off = `it is ${Math.abs(seconds).toFixed(0)} s ${seconds > 0 ? 'ahead' : 'behind'}`
  const todo = 'Set this machine by a time server: w32tm /resync on Windows, timedatectl set-ntp true on Linux.'
  if (Math.abs(seconds) <= 2) return ok('clock', title, 'within 2 s')
  if (Math.abs(seconds) < 300) return warn('clock', title, `${off}; logs will be hard to read`, todo)
  return fail('clock', title, `${off}: signed webhooks are refused from 5 minutes on`, todo)
}

/** What is of interest only. */
export function noteChecks({ publications, lostEdits }: PortalFacts): Check[] {
  const checks: Check[] = []
  if (publications.length > 0) {
    const found = publications.map(({ name, tables }) => `${name}: ${tables.join(', ')}`).join('; ')
    checks.push(
      ok('publications', 'Publications with synced tables', `${found} (what the sync writes goes out there too)`),
    )
  }
  if (lostEdits !== null && lostEdits > 0)
    checks.push(
      ok('lost-edits', "Doctors' edits that could not stand", `${counted(lostEdits, 'row')} in sync.lost_edits`),
    )
  return checks
}
