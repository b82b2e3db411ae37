import { createHash, X509Certificate } from 'node:crypto'
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { portOfInstance } from './sql-browser.ts'
import { tdsTunnel } from './tds-tls.ts'

/** What a server shows when TLS begins. No password has been sent by then. */
export interface ShownCertificate {
  /** SHA-256 of the certificate, as certificate viewers print it: `AB:CD:…` */
  readonly fingerprint: string
  readonly subject: string
  readonly issuer: string
  /** Hosts that it is for, as it names them. */
  readonly hosts: string
  readonly validFrom: string
  readonly validTo: string
  readonly isSelfSigned: boolean
  readonly pem: string
  /** A name that it is for, where the address has another; null: it is for the address. */
  readonly otherName: string | null
  /** Whoever has signed it, where the server sends that too; null: it does not, or that is itself. */
  readonly authority: { readonly fingerprint: string; readonly subject: string; readonly pem: string } | null
}

/** SQL Server's own, which it makes anew at each start if it was given none. */
export const isMadeAtStart = ({ subject }: ShownCertificate): boolean => /SSL_Self_Signed_Fallback/.test(subject)

/** @throws Error where there is no TLS, or no answer within `ms`. */
export async function certificateOf(url: string, ms: number): Promise<ShownCertificate> {
  const { protocol, hostname, port, searchParams } = new URL(url)
  const host = hostname.replace(/^\[(.*)\]$/, '$1')
  const instance = searchParams.get('instanceName')
  const byDefault = protocol === 'mssql:' ? 1433 : 5432
  const own = instance === null ? Number(port) || byDefault : await portOfInstance(host, instance, ms)
  const tcp = connectTcp({ host, port: own })
  const timer = setTimeout(() => tcp.destroy(new Error('no answer')), ms)
  try {
    await happens(tcp, 'connect')
    const stream = protocol === 'mssql:' ? await tdsTunnel(tcp) : await postgresTls(tcp)
    const secure = connectTls({
      socket: stream,
      // Looked at, not trusted: nothing is sent over it.
      rejectUnauthorized: false,
      ...(isIP(host) === 0 && { servername: host }),
      ...(protocol === 'mssql:' && { maxVersion: 'TLSv1.2' as const }),
    })
    await Promise.race([happens(secure, 'secureConnect'), fails(tcp)])
    return described(secure, host)
  } finally {
    clearTimeout(timer)
    tcp.destroy()
  }
}

/** Postgres' SSLRequest: eight bytes, answered by S where TLS may begin. */
async function postgresTls(tcp: Socket): Promise<Socket> {
  tcp.write(Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]))
  const [answer] = (await Promise.race([
    new Promise<Buffer[]>((resolve) => tcp.once('data', (data) => resolve([data]))),
    fails(tcp),
  ])) as Buffer[]
  if (answer?.toString('latin1') !== 'S') throw new Error('no TLS')
  return tcp
}

function described(secure: TLSSocket, host: string): ShownCertificate {
  const chain: X509Certificate[] = []
  for (
    let each = secure.getPeerX509Certificate();
    each && !chain.some(({ fingerprint256 }) => fingerprint256 === each?.fingerprint256);
    each = each.issuerCertificate
  )
    chain.push(each)
  const [own] = chain
  if (own === undefined) throw new Error('no certificate')
  const top = chain.at(-1) ?? own
  const signer = top !== own && top.checkIssued(top) ? top : null
  return {
    fingerprint: own.fingerprint256,
    subject: oneLine(own.subject),
    issuer: oneLine(own.issuer),
    hosts: (own.subjectAltName ?? '').replaceAll(/(DNS|IP Address):/g, ''),
    validFrom: day(own.validFrom),
    validTo: day(own.validTo),
    isSelfSigned: own.checkIssued(own),
    pem: own.toString(),
    otherName: isFor(own, host) ? null : nameOf(own),
    authority: signer && {
      fingerprint: signer.fingerprint256,
      subject: oneLine(signer.subject),
      pem: signer.toString(),
    },
  }
}

const isFor = (certificate: X509Certificate, host: string): boolean =>
  (isIP(host) === 0 ? certificate.checkHost(host) : certificate.checkIP(host)) !== undefined
const nameOf = ({ subjectAltName, subject }: X509Certificate): string | null =>
  /DNS:([^*,\s]+)/.exec(subjectAltName ?? '')?.[1] ?? /^CN=([^*\n]+)$/m.exec(subject)?.[1] ?? null

const oneLine = (name: string) => name.split('\n').join(', ')
const day = (text: string) => new Date(text).toISOString().slice(0, 10)

const happens = (stream: Duplex, event: string): Promise<void> =>
  new Promise((resolve, reject) => {
    stream.once(event, () => resolve())
    stream.on('error', reject)
  })
const fails = (stream: Duplex): Promise<never> =>
  new Promise((_, reject) => {
    stream.once('error', reject)
    stream.once('close', () => reject(new Error('closed')))
  })

/** Whether two fingerprints are the same, however they are written. */
export const isSameFingerprint = (a: string, b: string): boolean =>
  hexOf(a) === hexOf(b) && hexOf(a).length === createHash('sha256').digest('hex').length
const hexOf = (text: string) => text.replaceAll(/[^0-9a-f]/gi, '').toLowerCase()
