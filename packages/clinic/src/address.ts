import type { X509Certificate } from 'node:crypto'
import { SyncError, trustedCertificates } from '@clinic-sync/sync'
import type { config } from 'mssql'

const PARAMETERS = new Set([
  'encrypt',
  'trustServerCertificate',
  'ca',
  'hostNameInCertificate',
  'instanceName',
  'domain',
])

/**
 * Reads `mssql://user:password@host:port/database?encrypt=true&trustServerCertificate=false`. User, password and database
 * are percent-decoded. `encrypt` defaults to true, `trustServerCertificate` to false; `instanceName` finds the port
 * through SQL Browser (UDP 1434); `domain` logs in with NTLM. `ca` is a file of certificates to trust in place of Node's
 * authorities; `hostNameInCertificate` is the name that the certificate must have, where it is not the host's.
 *
 * @throws SyncError SYNC_CONFIG that says what is wrong without repeating the URL, which holds a password.
 */
export function parseAddress(url: string): config & { server: string; database: string } {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (parsed === undefined) throw wrong('it is not a URL; percent-encode special characters in the password (@ is %40)')
  if (parsed.protocol !== 'mssql:') throw wrong('it must begin with mssql://')
  if (parsed.hostname === '') throw wrong('it names no host')
  if (parsed.hash !== '') throw wrong('it contains a #; percent-encode it as %23')
  const database = decode(parsed.pathname.slice(1), 'database')
  if (database === '' || database.includes('/')) throw wrong('its path must be one database name, as in /clinic')
  if (parsed.username === '') throw wrong('it names no user')

  const { searchParams } = parsed
  for (const name of searchParams.keys()) {
    if (!PARAMETERS.has(name)) {
      throw wrong(`its parameter ${JSON.stringify(name)} is unknown; known are ${[...PARAMETERS].join(', ')}`)
    }
  }
  const encrypt = flag(searchParams, 'encrypt', true)
  const trustServerCertificate = flag(searchParams, 'trustServerCertificate', false)
  const tls = { encrypt, trustServerCertificate, ...trust(searchParams, encrypt, trustServerCertificate) }
  const instanceName = searchParams.get('instanceName')
  const domain = searchParams.get('domain')
  if (instanceName !== null && parsed.port !== '')
    throw wrong('it has both a port and an instanceName; give one of them')
  return {
    server: parsed.hostname.replace(/^\[(.*)\]$/, '$1'),
    database,
    user: decode(parsed.username, 'user'),
    password: decode(parsed.password, 'password'),
    ...(parsed.port === '' ? {} : { port: Number(parsed.port) }),
    ...(domain === null ? {} : { domain }),
    options: { ...tls, ...(instanceName === null ? {} : { instanceName }) },
  }
}

/** Whom tedious trusts, and for which name. It takes no check of ours, but a name in the host's place. */
function trust(parameters: URLSearchParams, encrypt: boolean, trustsAny: boolean): object {
  const [path, name] = [parameters.get('ca') || null, parameters.get('hostNameInCertificate') || null]
  if (path === null && name === null) return {}
  if (!encrypt || trustsAny)
    throw wrong(
      `its ${path === null ? 'hostNameInCertificate' : 'ca'} would not be looked at with ${encrypt ? 'trustServerCertificate=true' : 'encrypt=false'}; leave one of them out`,
    )
  if (path === null) return { serverName: name }
  const { ca, all, allowPartialTrustChain } = trustedCertificates({ setting: 'SQLSERVER_URL', parameter: 'ca' }, path)
  const [only, second] = all
  // The server's own, which nobody but it can use: the one that SQL Server makes for itself is for SSL_Self_Signed_Fallback.
  const isOwn = only !== undefined && second === undefined && !only.ca && only.checkIssued(only)
  const serverName = name ?? (isOwn ? nameOf(only) : undefined)
  return {
    cryptoCredentialsDetails: { ca, allowPartialTrustChain },
    ...(serverName === undefined ? {} : { serverName }),
  }
}

/** The first name that a certificate is for; wildcards are no names. */
const nameOf = ({ subjectAltName, subject }: X509Certificate): string | undefined =>
  /DNS:([^*,\s]+)/.exec(subjectAltName ?? '')?.[1] ??
  (subjectAltName === undefined ? /^CN=([^*\n]+)$/m.exec(subject)?.[1] : undefined)

function wrong(what: string): SyncError {
  return new SyncError('SYNC_CONFIG', `SQLSERVER_URL cannot be used: ${what}.`)
}

function decode(text: string, part: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw wrong(`its ${part} has a % that is not a percent-encoding; write a plain % as %25`)
  }
}

function flag(parameters: URLSearchParams, name: string, byDefault: boolean): boolean {
  const value = parameters.get(name)
  if (value === null) return byDefault
  if (value !== 'true' && value !== 'false') throw wrong(`its ${name} must be true or false`)
  return value === 'true'
}
