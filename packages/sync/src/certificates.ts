import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { checkServerIdentity, type PeerCertificate } from 'node:tls'
import { SyncError } from './errors.ts'

/** What a TLS connection is given where its URL names a file of certificates. */
export interface Trusted {
  /** PEM. In place of Node's own authorities, not beside them. */
  readonly ca: string
  /** One that did not sign itself is trusted as well, if it is in the file. From Node 20.18 on; before it, only its issuer will do. */
  readonly allowPartialTrustChain: true
  /**
   * As Node's, but the very certificate that is in the file is the server's, whatever host it names: nobody else has its key.
   * SQL Server's and Debian's own ones name another.
   */
  checkServerIdentity(host: string, certificate: PeerCertificate): Error | undefined
}

const PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

/**
 * The certificates that a connection trusts, from a file that its URL names. The one place in this package that reads a file:
 * the three connections share it.
 *
 * @param where the setting and the parameter, such as `POSTGRES_URL` and `sslrootcert`
 * @throws SyncError SYNC_CONFIG where the file cannot be read, or holds no certificate
 */
export function trustedCertificates(
  where: TlsPlace,
  path: string,
): Trusted & { readonly all: readonly X509Certificate[] } {
  const ca = readTlsFile(where, path)
  const all = certificatesIn(ca)
  if (all === null) throw wrong(where, `${quoted(path)} holds no certificate (PEM: -----BEGIN CERTIFICATE-----)`)
  const known = new Set(all.map(({ fingerprint256 }) => fingerprint256))
  return {
    ca,
    all,
    allowPartialTrustChain: true,
    checkServerIdentity: (host, certificate) =>
      known.has(certificate.fingerprint256) ? undefined : checkServerIdentity(host, certificate),
  }
}

/** Where a file is named. */
export interface TlsPlace {
  readonly setting: string
  readonly parameter: string
}

/** A certificate's or key's file as text. @throws SyncError SYNC_CONFIG that names the place and the file, nothing of its content */
export function readTlsFile(where: TlsPlace, path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'no reason given'
    throw wrong(where, `${quoted(path)} cannot be read (${code})`, cause)
  }
}

/** Those of a PEM text, in its order; null: none, or one of them is broken. */
export function certificatesIn(pem: string): readonly X509Certificate[] | null {
  try {
    const all = (pem.match(PEM) ?? []).map((text) => new X509Certificate(text))
    return all.length === 0 ? null : all
  } catch {
    return null
  }
}

const quoted = (path: string) => JSON.stringify(path)

const wrong = ({ setting, parameter }: TlsPlace, what: string, cause?: unknown) =>
  new SyncError('SYNC_CONFIG', `${setting} cannot be used: the file of its ${parameter}, ${what}.`, { cause })
