import type { ConnectionOptions } from 'node:tls'
import { readTlsFile, SyncError, trustedCertificates } from '@clinic-sync/sync'

/** What pg is given to connect. */
export interface PortalAddress {
  /** Without the parameters of TLS: pg would read them in its own way. */
  readonly connectionString: string
  /** False: in the clear. Always set: else pg looks into PGSSLMODE. */
  readonly ssl: false | ConnectionOptions
}

const TLS_PARAMETERS = ['sslmode', 'sslrootcert', 'sslcert', 'sslkey', 'ssl', 'sslnegotiation', 'uselibpqcompat']
/** Words that libpq knows for less than a full check. Without one, whoever sits in between could read along. */
const FULL = new Set(['verify-full', 'verify-ca', 'require'])

/**
 * Reads POSTGRES_URL. Unless the host is this machine (loopback, or a Unix socket) the connection is encrypted and the certificate
 * checked, its name included: `sslmode=disable` must be said to go without, and `sslmode=no-verify` to take any certificate.
 * `require` and `verify-ca` are taken for `verify-full`; `prefer` and `allow`, which fall back to no encryption where somebody in
 * between says that there is none, are refused. `sslrootcert` is a file of certificates to trust in place of Node's authorities;
 * `sslcert` and `sslkey` are our own, for a server that wants one.
 *
 * @param setting what the URL is called in a complaint
 * @throws SyncError SYNC_CONFIG that says what is wrong without repeating the URL, which holds a password
 */
export function portalAddress(url: string, setting = 'POSTGRES_URL'): PortalAddress {
  const wrong = (what: string) => new SyncError('SYNC_CONFIG', `${setting} cannot be used: ${what}.`)
  if (!URL.canParse(url)) throw wrong('it is not a URL; percent-encode special characters in the password (@ is %40)')
  const parsed = new URL(url)
  const { searchParams } = parsed
  const given = (name: string) => searchParams.get(name) || undefined
  const [mode, root, cert, key] = [given('sslmode'), given('sslrootcert'), given('sslcert'), given('sslkey')]
  if (given('ssl') !== undefined) throw wrong('it has the parameter ssl; write sslmode=verify-full or sslmode=disable')
  const files = [root, cert, key].some((each) => each !== undefined)
  const connectionString = without(parsed, TLS_PARAMETERS, url)

  if (mode === 'disable' || (mode === undefined && !files && isHere(parsed))) {
    if (files) throw wrong('it names a certificate, and sslmode=disable')
    return { connectionString, ssl: false }
  }
  if (mode === 'no-verify') {
    if (root !== undefined)
      throw wrong('it names a certificate in sslrootcert, and sslmode=no-verify, which checks none')
  } else if (mode !== undefined && !FULL.has(mode))
    throw wrong(
      mode === 'prefer' || mode === 'allow'
        ? `sslmode=${mode} would go on without encryption where somebody in between refuses it; write verify-full or disable`
        : 'its sslmode is unknown; known are verify-full and disable',
    )
  if ((cert === undefined) !== (key === undefined))
    throw wrong('sslcert and sslkey belong together, and one is missing')
  const file = (parameter: string, path: string) => readTlsFile({ setting, parameter }, path)
  const { all: _, ...trusted } =
    root === undefined ? { all: [] } : trustedCertificates({ setting, parameter: 'sslrootcert' }, root)
  return {
    connectionString,
    ssl: {
      rejectUnauthorized: mode !== 'no-verify',
      ...trusted,
      ...(cert !== undefined && key !== undefined && { cert: file('sslcert', cert), key: file('sslkey', key) }),
    },
  }
}

/** Whether that host is this machine beyond doubt. */
function isHere({ hostname, searchParams }: URL): boolean {
  const host = searchParams.get('host') ?? hostname
  return /^(\/|%2f|(localhost|127(\.\d{1,3}){3}|::1|\[::1\])$)/i.test(host)
}

function without(parsed: URL, names: readonly string[], url: string): string {
  if (!names.some((name) => parsed.searchParams.has(name))) return url
  const copy = new URL(parsed)
  for (const name of names) copy.searchParams.delete(name)
  return copy.href
}
