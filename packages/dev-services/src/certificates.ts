import { generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto'

/** A certificate and its private key, as PEM. */
export interface Identity {
  readonly cert: string
  readonly key: string
}

export interface IssueOptions {
  /** Names and IPv4 addresses that it is for. None: it has no alternative names, only its common name. */
  readonly hosts?: readonly string[]
  readonly commonName?: string
  /** Default: from yesterday until tomorrow. */
  readonly from?: Date
  readonly to?: Date
}

export interface Authority {
  /** Its own certificate, PEM. */
  readonly cert: string
  issue(options: IssueOptions): Identity
}

const DAY_MS = 86_400_000

/** For tests: an authority that nobody trusts yet. Its keys are in this process only (EC, P-256: made in a millisecond). */
export function makeAuthority(): Authority {
  // Of two with one name OpenSSL takes the first for the other's issuer, and looks no further.
  const commonName = `Test authority ${randomBytes(6).toString('hex')}`
  const own = keys()
  const issuer = { commonName, key: own.privateKey }
  const cert = certificate({ commonName, publicKey: own.publicKey, isAuthority: true }, issuer)
  return {
    cert,
    issue: (options) => {
      const { publicKey, privateKey } = keys()
      return { cert: certificate({ ...options, publicKey }, issuer), key: pem(privateKey) }
    },
  }
}

/** One that signed itself and is no authority, as SQL Server and Debian make for themselves. */
export function makeSelfSigned(options: IssueOptions): Identity {
  const { publicKey, privateKey } = keys()
  const { commonName = 'self' } = options
  const cert = certificate({ ...options, commonName, publicKey }, { commonName, key: privateKey })
  return { cert, key: pem(privateKey) }
}

const keys = () => generateKeyPairSync('ec', { namedCurve: 'P-256' })
const pem = (key: KeyObject) => key.export({ type: 'pkcs8', format: 'pem' }).toString()

/** X.509 version 3 (RFC 5280), signed with ECDSA and SHA-256. */
function certificate(
  { commonName = 'server', hosts = [], from, to, publicKey, isAuthority = false }: Subject,
  issuer: { readonly commonName: string; readonly key: KeyObject },
): string {
  const algorithm = sequence(oid('2a8648ce3d040302'))
  const extensions = [
    ...(isAuthority ? [sequence(oid('551d13'), der(0x01, 'ff'), octets(sequence(der(0x01, 'ff'))))] : []),
    ...(hosts.length > 0 ? [sequence(oid('551d11'), octets(sequence(...hosts.map(generalName))))] : []),
  ]
  const serial = Buffer.from(randomBytes(8).map((byte, i) => (i === 0 ? (byte & 0x7f) | 1 : byte)))
  const body = sequence(
    der(0xa0, der(0x02, '02')),
    der(0x02, serial),
    algorithm,
    name(issuer.commonName),
    sequence(time(from ?? new Date(Date.now() - DAY_MS)), time(to ?? new Date(Date.now() + DAY_MS))),
    name(commonName),
    publicKey.export({ type: 'spki', format: 'der' }),
    ...(extensions.length > 0 ? [der(0xa3, sequence(...extensions))] : []),
  )
  const signature = Buffer.concat([Buffer.of(0), sign('sha256', body, issuer.key)])
  const base64 = sequence(body, algorithm, der(0x03, signature)).toString('base64')
  return `-----BEGIN CERTIFICATE-----\n${base64.replaceAll(/.{64}/g, '$&\n').trimEnd()}\n-----END CERTIFICATE-----\n`
}

interface Subject extends IssueOptions {
  readonly publicKey: KeyObject
  readonly isAuthority?: boolean
}

/** One value in ASN.1's DER. Text as content is hexadecimal. */
function der(tag: number, ...content: readonly (Buffer | string)[]): Buffer {
  const body = Buffer.concat(content.map((each) => (typeof each === 'string' ? Buffer.from(each, 'hex') : each)))
  const { length } = body
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255]
  return Buffer.concat([Buffer.of(tag, ...size), body])
}
const sequence = (...content: readonly Buffer[]) => der(0x30, ...content)
const octets = (content: Buffer) => der(0x04, content)
const oid = (hex: string) => der(0x06, hex)
const name = (text: string) => sequence(der(0x31, sequence(oid('550403'), der(0x0c, Buffer.from(text)))))
const time = (at: Date) => der(0x18, Buffer.from(`${at.toISOString().replaceAll(/[-:T]|\..*/g, '')}Z`))
const generalName = (host: string) =>
  /^\d+(\.\d+){3}$/.test(host) ? der(0x87, Buffer.from(host.split('.').map(Number))) : der(0x82, Buffer.from(host))
