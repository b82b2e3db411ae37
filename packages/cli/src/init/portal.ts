import { isTransactionMode } from '@clinic-sync/portal'
import {
  DOCKER_HOST,
  fromContainers,
  hostOf,
  isLoopback,
  isThisHost,
  passwordOf,
  userOf,
  withLogin,
  withParameters,
} from './addresses.ts'
import { listed, type Reached } from './clinic.ts'
import { lookAtPortal, type PortalSeen } from './portal-facts.ts'
import type { Scratch } from './scratch.ts'
import { firstAddress } from './first-address.ts'
import { complain, refusal, type Session } from './session.ts'
import { ipv6Words, isIpv6Only } from './trouble.ts'
import { certificateIn, offerTrust, readCertificate } from './trust.ts'

/** The name of the portal's certificate in `secrets/ca`. */
export const PORTAL_CERTIFICATE = 'portal.crt'

/** Asks for the portal until one answers. @throws SyncError where nobody answers and it does not */
export async function reachPortal(
  session: Session,
  scratch: Scratch,
  run: 'docker' | 'node',
): Promise<Reached<PortalSeen>> {
  const { options, passwords, ask, say, patienceMs } = session
  const inContainers = run === 'docker'
  const given = options.postgresCa === undefined ? null : readCertificate(options.postgresCa, '--postgres-ca')
  let pem = given
  const { url: first, before } = await firstAddress(session, scratch, {
    name: 'the portal',
    who: 'user',
    option: '--postgres',
    protocol: /^postgres(ql)?:$/,
    given: options.postgres,
    password: passwords.postgres,
    passwordVariable: 'POSTGRES_PASSWORD',
    adminFile: 'postgres_admin_url',
    serviceFile: 'postgres_url',
  })
  let url = first
  /** What has been tried with a certificate that was to be trusted. */
  let trusted: string | null = null
  for (;;) {
    if (url === null) {
      if (ask === null) throw refusal('The portal is missing: give --postgres postgres://user@host:5432/database')
      url = await askFor(session, before)
    }
    if (inContainers && session.inContainer && isThisHost(url)) {
      url = withParameters(fromContainers(url), { sslmode: 'disable', sslrootcert: null })
      say(`Postgres on this machine is ${DOCKER_HOST} from a container, without TLS: nothing leaves this machine.`)
    }
    pem ??= certificateIn(url, 'sslrootcert', '--postgres')
    if (pem !== null) url = withCertificate(scratch, url, pem)
    if (isTransactionMode(url)) {
      complain(session, {
        why: 'Port 6543 is transaction mode, where LISTEN is never heard',
        todo: 'Take the session pooler (Supabase → Connect → Session pooler), port 5432.',
      })
      url = null
      continue
    }
    say(`Portal: connecting to ${hostOf(url)} …`)
    const looked = await lookAtPortal(url, patienceMs, inContainers)
    if ('seen' in looked) {
      // Docker's networks have no IPv6 unless somebody gave them one, whatever this machine has.
      if (inContainers && !isLoopback(url) && (await isIpv6Only(new URL(url).hostname))) say(`  ! ${ipv6Words(true)}`)
      return { url, pem, seen: looked.seen }
    }
    if (looked.trouble.certificate !== true) complain(session, looked.trouble)
    else if (url === trusted)
      complain(session, {
        why: looked.trouble.why,
        todo: 'Trusting it does not help: it has expired, or is for another name.',
      })
    else {
      say(`  ✗ ${looked.trouble.why}`)
      const trust = await offerTrust(session, 'portal', url)
      if (trust?.kind === 'pem' && trust.name !== null)
        complain(session, {
          why: `The certificate is for ${trust.name}, not for ${new URL(url).hostname}`,
          todo: 'Use that name in the address.',
        })
      else if (trust?.kind === 'pem') {
        pem = trust.pem
        url = withCertificate(scratch, url, pem)
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
  withParameters(url, { sslmode: 'verify-full', sslrootcert: scratch.certificate(PORTAL_CERTIFICATE, pem) })

async function askFor({ ask, say, options }: Session, before: string | undefined): Promise<string> {
  if (ask === null) throw refusal('nobody answers')
  say('The portal’s address: Supabase → Connect → Session pooler, as it stands there; it asks for the password next.')
  // Supabase's owner is postgres, with the project behind it on a pooler, as the services' user has it.
  const [name, ...project] = before === undefined ? [] : userOf(before).split('.')
  const owner = [name === options.login ? 'postgres' : name, ...project].join('.')
  const known = before === undefined ? undefined : withLogin(before, owner, '').replace(':@', '@')
  const text = await ask.text('Address (postgresql://user@host:5432/database)', known, (answer) =>
    !URL.canParse(unbracketed(answer)) || !/^postgres(ql)?:$/.test(new URL(unbracketed(answer)).protocol)
      ? 'It begins with postgresql://.'
      : userOf(unbracketed(answer)) === ''
        ? 'It names no user.'
        : null,
  )
  const url = unbracketed(text)
  const typed = passwordOf(url)
  return withLogin(url, userOf(url), typed === '' ? await ask.secret(`Password of ${userOf(url)}`) : typed)
}

/** Supabase's dashboard has `[YOUR-PASSWORD]` in the password's place. */
const unbracketed = (text: string): string => text.trim().replace(/:\[[^\]@]*\](?=@)/, '')

/** What was found, line by line. */
export function portalLines({ facts, missing, isEmpty, isMigrated, mayInstall }: PortalSeen, url: string): string[] {
  const { version, database, role, readOnly, encrypted } = facts.server
  const host = new URL(url).hostname
  const way = /\.pooler\.supabase\.com$/i.test(host)
    ? ', session pooler'
    : /^db\..*\.supabase\.co$/i.test(host)
      ? ', direct'
      : ''
  const lines = [
    `  ✓ Postgres ${Math.floor(version / 10_000)}.${version % 10_000}, database ${database}, role ${role}${way}${encrypted ? ', encrypted' : ''}`,
  ]
  if (version < 140_000)
    lines.push('  ✗ Postgres is older than 14.', '    → Upgrade it (Supabase: Project Settings → Infrastructure).')
  if (readOnly) lines.push('  ✗ The database is read-only: a standby, or its disk is full.')
  if (isEmpty) lines.push('  ! It has none of the portal’s tables.')
  else if (missing.length > 0)
    lines.push(`  ✗ Missing in schema public: ${listed(missing)}.`, '    → Is this the portal’s database?')
  else lines.push('  ✓ every table and column that is synced is there')
  if (!mayInstall) lines.push(`  ! Role ${role} does not own the tables: it cannot install.`)
  if (isMigrated) lines.push('  ✓ clinic-sync has been installed here before')
  return lines
}
