import { readFileSync } from 'node:fs'
import { certificateOf, isMadeAtStart, isSameFingerprint, type ShownCertificate } from './certificate.ts'
import { refusal, type Session } from './session.ts'

/** What to do about a certificate that cannot be checked. */
export type Trust =
  /** Trust this one, or whoever has signed it: PEM. `name`: for which name, where that is not the address's. */
  | { readonly kind: 'pem'; readonly pem: string; readonly name: string | null }
  /** Any will do: encrypted, but somebody in between could pass for the server. */
  | { readonly kind: 'any' }
  | null

/** @throws SyncError if the file, which an option names, is no certificate in PEM. */
export function readCertificate(path: string, option: string): string {
  try {
    const pem = readFileSync(path, 'utf8')
    if (/-----BEGIN CERTIFICATE-----/.test(pem)) return pem
  } catch (cause) {
    throw refusal(`The file that ${option} names cannot be read.`, cause)
  }
  throw refusal(`The file that ${option} names is no certificate in PEM (it begins with -----BEGIN CERTIFICATE-----).`)
}

/** The certificate that an address names; null: none. */
export function certificateIn(url: string, parameter: string, option: string): string | null {
  const path = new URL(url).searchParams.get(parameter)
  return path === null || path === '' ? null : readCertificate(path, `${parameter} in ${option}`)
}

/**
 * Shows the certificate of a server that could not be checked, and offers to trust it.
 *
 * @param side for whose server: SQL Server can also do without the check.
 * @returns what to do; null: nothing, the address is asked for again.
 * @throws SyncError where nobody answers and no flag says that it is to be trusted.
 */
export async function offerTrust(session: Session, side: 'clinic' | 'portal', url: string): Promise<Trust> {
  const { ask, say, options } = session
  const shown = await certificateOf(url, session.patienceMs).catch(() => null)
  if (shown === null) {
    if (ask === null)
      throw refusal(
        `The certificate of ${side === 'clinic' ? 'SQL Server' : 'Postgres'} cannot be checked, nor looked at: ${otherWays(side)}`,
      )
    say('    It could not be looked at.')
    return choose(session, side, null)
  }
  const { authority } = shown
  const named = (fingerprint: string) =>
    (options.trustCertificate ?? []).some((each) => isSameFingerprint(each, fingerprint))
  if (named(shown.fingerprint)) return { kind: 'pem', pem: shown.pem, name: shown.otherName }
  if (authority !== null && named(authority.fingerprint)) return { kind: 'pem', pem: authority.pem, name: null }
  if (ask === null)
    throw refusal(
      `The certificate of ${side === 'clinic' ? 'SQL Server' : 'Postgres'} cannot be checked. ${unattended(side, shown)}`,
    )
  for (const line of described(shown)) say(`    ${line}`)
  if (isMadeAtStart(shown))
    say('    SQL Server has made it itself, and makes another at each start: to trust this one would last until then.')
  return choose(session, side, shown)
}

/** @param shown null: it could not be looked at */
async function choose(
  { ask, say }: Session,
  side: 'clinic' | 'portal',
  shown: ShownCertificate | null,
): Promise<Trust> {
  if (ask === null) return null
  const authority = shown?.authority ?? null
  const choices = [
    ...(shown === null || isMadeAtStart(shown)
      ? []
      : [
          {
            value: 'pin' as const,
            name: 'Trust exactly this one from now on',
            description: `Until it is replaced (${shown.validTo} at the latest). Compare its fingerprint on the server itself first: whoever answers now is believed.`,
          },
        ]),
    ...(authority === null
      ? []
      : [
          {
            value: 'authority' as const,
            name: `Trust whatever ${authority.subject} has signed`,
            description: `SHA-256 ${authority.fingerprint}. Compare it first: whoever answers now is believed.`,
          },
        ]),
    {
      value: 'file' as const,
      name: 'I have the certificate in a file',
      description:
        side === 'portal'
          ? 'Supabase: Project Settings → Database → SSL Configuration → Download certificate'
          : 'PEM or Base-64 encoded X.509 (.CER): the server’s, or the one that it is signed with',
    },
    ...(side === 'clinic'
      ? [
          {
            value: 'any' as const,
            name: 'Take any certificate',
            description: 'Encrypted, but not checked: only where nobody can come in between, as on the same machine.',
          },
        ]
      : []),
    { value: 'again' as const, name: 'Enter another address' },
  ]
  switch (await ask.choose('What about this certificate?', choices)) {
    case 'pin':
      return shown === null ? null : { kind: 'pem', pem: shown.pem, name: shown.otherName }
    case 'authority':
      return authority === null ? null : { kind: 'pem', pem: authority.pem, name: null }
    case 'any':
      return { kind: 'any' }
    case 'file': {
      const path = await ask.text('Path of the file', undefined, (answer) => (answer === '' ? 'Give a path.' : null))
      try {
        return { kind: 'pem', pem: readCertificate(path, 'this answer'), name: null }
      } catch (error) {
        say(`  ✗ ${error instanceof Error ? error.message : 'it cannot be read'}`)
        return null
      }
    }
    default:
      return null
  }
}

function described({
  subject,
  issuer,
  hosts,
  validFrom,
  validTo,
  fingerprint,
  isSelfSigned,
}: ShownCertificate): string[] {
  return [
    `certificate  ${subject}`,
    `signed by    ${isSelfSigned ? 'itself' : issuer}`,
    ...(hosts === '' ? [] : [`for          ${hosts}`]),
    `valid        ${validFrom} to ${validTo}`,
    `SHA-256      ${fingerprint}`,
  ]
}

function unattended(side: 'clinic' | 'portal', shown: ShownCertificate): string {
  const option = side === 'clinic' ? '--sqlserver-ca' : '--postgres-ca'
  if (isMadeAtStart(shown))
    return `SQL Server makes it anew at each start (${shown.subject}): give it a certificate of its own (SQL Server Configuration Manager → Protocols → Certificate), and that in ${option}${ANY}.`
  const whoever =
    shown.authority === null
      ? ''
      : ` (whatever ${shown.authority.subject} has signed: --trust-certificate ${shown.authority.fingerprint})`
  const pin = `--trust-certificate ${shown.fingerprint} trusts exactly this one from now on${whoever}, if that fingerprint is the server's; or `
  return `It is ${shown.subject}, signed by ${shown.isSelfSigned ? 'itself' : shown.issuer}, valid ${shown.validFrom} to ${shown.validTo}. ${pin}${otherWays(side)}`
}

const ANY = '; or trustServerCertificate=true in --sqlserver, where nobody can come in between'

const otherWays = (side: 'clinic' | 'portal'): string =>
  side === 'clinic'
    ? `give the file of the one that it is signed with in --sqlserver-ca${ANY}.`
    : 'give the file of the one that it is signed with in --postgres-ca.'
