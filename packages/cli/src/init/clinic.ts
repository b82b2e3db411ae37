import { inDatabase } from '../migrate/choose.ts'
import { whyNot } from '../migrate/engine.ts'
import {
  checkClinicUrl,
  clinicUrl,
  DOCKER_HOST,
  fromContainers,
  hostOf,
  isClinicHost,
  isThisHost,
  userOf,
  withParameters,
} from './addresses.ts'
import { type ClinicSeen, lookAtClinic } from './clinic-facts.ts'
import { certificateIn, offerTrust, readCertificate } from './trust.ts'
import { firstAddress } from './first-address.ts'
import { complain, refusal, type Session } from './session.ts'
import type { Scratch } from './scratch.ts'

/** A database that answers with the login that installs. */
export interface Reached<Seen> {
  /** As it is reached from here; certificates by absolute paths. */
  readonly url: string
  /** The certificate to trust: PEM. Null: those that everybody knows. */
  readonly pem: string | null
  readonly seen: Seen
}

/** The name of the clinic's certificate in `secrets/ca`. */
export const CLINIC_CERTIFICATE = 'clinic.crt'

/** Asks for the SQL Server until one answers. @throws SyncError where nobody answers and it does not */
export async function reachClinic(
  session: Session,
  scratch: Scratch,
  run: 'docker' | 'node',
): Promise<Reached<ClinicSeen>> {
  const { options, passwords, ask, say, patienceMs } = session
  const given = options.sqlserverCa === undefined ? null : readCertificate(options.sqlserverCa, '--sqlserver-ca')
  let pem = given
  const { url: first, before } = await firstAddress(session, scratch, {
    name: 'SQL Server',
    who: 'login',
    option: '--sqlserver',
    protocol: /^mssql:$/,
    given: options.sqlserver,
    password: passwords.sqlserver,
    passwordVariable: 'SQLSERVER_PASSWORD',
    adminFile: 'sqlserver_admin_url',
    serviceFile: 'sqlserver_url',
  })
  let url = first
  if (options.sqlserver !== undefined && url !== null) checkClinicUrl(url)
  /** What has been tried with a certificate that was to be trusted. */
  let trusted: string | null = null
  for (;;) {
    if (url === null) {
      if (ask === null) throw refusal('The SQL Server is missing: give --sqlserver mssql://login@host:1433/database')
      url = await askFor(session, before)
    }
    if (run === 'docker' && session.inContainer && isThisHost(url)) {
      // No certificate is for the name that Docker gives this machine, and nobody is in between.
      url = withParameters(fromContainers(url), {
        trustServerCertificate: 'true',
        ca: null,
        hostNameInCertificate: null,
      })
      say(
        `SQL Server on this machine is ${DOCKER_HOST} from a container. Its certificate is not checked: nothing leaves this machine.`,
      )
    }
    pem ??= certificateIn(url, 'ca', '--sqlserver')
    if (pem !== null) url = withCertificate(scratch, url, pem)
    say(`SQL Server: connecting to ${hostOf(url)} …`)
    const looked = await lookAtClinic(url, patienceMs)
    if ('seen' in looked) return { url, pem, seen: looked.seen }
    if (looked.trouble.certificate !== true) complain(session, looked.trouble)
    else if (url === trusted)
      complain(session, {
        why: looked.trouble.why,
        todo: 'Trusting it does not help: it has expired, or is for another name.',
      })
    else {
      say(`  ✗ ${looked.trouble.why}`)
      const trust = await offerTrust(session, 'clinic', url)
      if (trust !== null) {
        pem = trust.kind === 'pem' ? trust.pem : null
        if (trust.kind === 'pem' && trust.name !== null)
          url = withParameters(url, { hostNameInCertificate: trust.name })
        if (trust.kind === 'any')
          url = withParameters(url, { trustServerCertificate: 'true', ca: null, hostNameInCertificate: null })
        if (pem !== null) url = withCertificate(scratch, url, pem)
        trusted = url
        continue
      }
    }
    url = null
    // A wrong password says nothing against the certificate.
    if (looked.trouble.certificate === true) pem = given
  }
}

const withCertificate = (scratch: Scratch, url: string, pem: string): string =>
  withParameters(url, { ca: scratch.certificate(CLINIC_CERTIFICATE, pem), trustServerCertificate: 'false' })

/** @param before what is there already: its parts are the defaults. */
async function askFor({ ask, options }: Session, before: string | undefined): Promise<string> {
  if (ask === null) throw refusal('nobody answers')
  const known = before === undefined ? undefined : new URL(before)
  const notEmpty = (answer: string) => (answer === '' ? 'This is needed.' : null)
  const host = await ask.text('SQL Server: host, host:port or host\\INSTANCE', known?.host ?? 'localhost', (answer) =>
    isClinicHost(answer) ? null : 'Give it as host, host:port or host\\INSTANCE.',
  )
  const database = await ask.text('The clinic’s database', known?.pathname.slice(1), notEmpty)
  const login = await ask.text(
    'A login that may create objects and logins there (sa, or DOMAIN\\account)',
    before === undefined || userOf(before) === options.login ? 'sa' : userOf(before),
    notEmpty,
  )
  const url = clinicUrl(host, database, login, await ask.secret(`Password of ${login}`))
  if (known === undefined || known.host !== new URL(url).host) return url
  // The same server: what is known of its certificate stays.
  const names = ['encrypt', 'trustServerCertificate', 'ca', 'hostNameInCertificate']
  return withParameters(url, Object.fromEntries(names.map((name) => [name, known.searchParams.get(name)])))
}

/** The doorbells in the order in which they are worth choosing. */
const DOORBELLS = [
  ['service-broker', 'SQL Server’s own queue: after each commit, nothing over HTTP'],
  ['ole-automation', 'a trigger calls the ingress by HTTP, as the original system did; Windows only'],
  ['rest-endpoint', 'the same on SQL Server 2025; HTTPS only'],
  ['http', 'something of your own calls the ingress'],
  ['none', 'nobody rings: by hand, and at the start'],
] as const
type Doorbell = (typeof DOORBELLS)[number][0]

/** Why the clinic's engine cannot have that doorbell; null: it can. */
const whyNoDoorbell = ({ engine }: ClinicSeen, doorbell: Doorbell): string | null =>
  doorbell === 'http' || doorbell === 'none' || engine.babelfish ? null : whyNot(engine, doorbell)

/** @throws SyncError where the one that a flag names cannot be had */
export async function chooseDoorbell({ options, previous, ask }: Session, seen: ClinicSeen): Promise<Doorbell> {
  const known = (name: string | undefined) => DOORBELLS.find(([each]) => each === name)?.[0]
  const wanted = options.clinicDoorbell
  if (wanted !== undefined) {
    const why = whyNoDoorbell(seen, wanted)
    if (why !== null) throw refusal(`--clinic-doorbell ${wanted} cannot be: ${why}`)
    return wanted
  }
  const possible = DOORBELLS.filter(([name]) => whyNoDoorbell(seen, name) === null)
  const before = known(previous.lines.get('CLINIC_DOORBELL'))
  const best = possible.some(([name]) => name === before) ? before : possible[0]?.[0]
  if (ask === null) return best ?? 'none'
  return ask.choose(
    'How shall SQL Server say that something changed?',
    possible.map(([value, description]) => ({ value, name: value, description })),
    best ?? 'none',
  )
}

const YEARS: Readonly<Record<number, string>> = { 13: '2016', 14: '2017', 15: '2019', 16: '2022', 17: '2025' }

/** What was found, line by line; what has to be done by hand begins with →. */
export function clinicLines(seen: ClinicSeen): string[] {
  const { engine, version, edition, database, compatibilityLevel, original } = seen
  const year = YEARS[engine.majorVersion]
  const lines = [
    `  ✓ ${[year === undefined ? `version ${version}` : `SQL Server ${year} (${version})`, edition, engine.linux ? 'Linux' : null, `database ${database}`].filter(Boolean).join(', ')}`,
  ]
  if (engine.majorVersion < 13 && engine.edition < 5 && !engine.babelfish)
    lines.push('  ✗ SQL Server is older than 2016 and cannot read JSON.', '    → Upgrade it to 2016 or later.')
  if (compatibilityLevel !== null && compatibilityLevel < 130)
    lines.push(
      `  ✗ The database's compatibility level is ${compatibilityLevel}; JSON takes 130.`,
      `    → ALTER DATABASE ${bracketed(database)} SET COMPATIBILITY_LEVEL = 130;`,
    )
  if (seen.missing.length > 0)
    lines.push(
      `  ✗ Not there, or not for this login to see: ${listed(seen.missing)}.`,
      '    → Is this the clinic’s database?',
    )
  else lines.push('  ✓ every table and column that is synced is there')
  if (seen.windowsOnly === true)
    lines.push(
      '  ✗ The server takes Windows logins only.',
      '    → Server Properties → Security → SQL Server and Windows Authentication mode; then restart SQL Server.',
    )
  if (seen.mayInstall === false) lines.push('  ! This login does not own the database (db_owner): it cannot install.')
  else if (seen.mayMakeLogins === false)
    lines.push('  ! This login may not make logins: somebody else has to run the statements for the services’ login.')
  if (original !== null) {
    const open = [...original]
      .filter(([status]) => status !== 'Synced')
      .map(([status, n]) => `${n.toLocaleString('en')} ${status}`)
    lines.push(
      `  ! The original system's SyncQueue is here${open.length === 0 ? ', with nothing open' : `: ${open.join(', ')}`}. migrate takes its rows over; read docs/moving-over.md first.`,
    )
  }
  if (seen.isMigrated) lines.push('  ✓ clinic-sync has been installed here before')
  return lines
}

/** What the database still needs for its doorbell. */
export function brokerLines(seen: ClinicSeen, doorbell: Doorbell): string[] {
  if (inDatabase(doorbell) !== 'service-broker' || seen.isBrokerOn !== false) return []
  return [
    '  ! Service Broker is off in this database, as in most. It is switched on by a statement that needs the database to itself: it ends every open transaction in it.',
    `    → When nobody works: ${enableBroker(seen.database)}`,
  ]
}

export const enableBroker = (database: string) =>
  `ALTER DATABASE ${bracketed(database)} SET ENABLE_BROKER WITH ROLLBACK IMMEDIATE;`

const bracketed = (name: string) => `[${name.replaceAll(']', ']]')}]`

/** The first few, and how many more. */
export const listed = (names: readonly string[]): string =>
  names.length <= 8 ? names.join(', ') : `${names.slice(0, 8).join(', ')} and ${names.length - 8} more`
