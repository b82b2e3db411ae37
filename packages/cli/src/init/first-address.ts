import { hostOf, userOf, withLogin, withoutPassword } from './addresses.ts'
import { knownUrl } from './previous.ts'
import type { Scratch } from './scratch.ts'
import { refusal, type Session } from './session.ts'

/** What is asked of both databases in the same way. */
export interface Asked {
  /** For people: the portal. */
  readonly name: string
  /** What the database calls who logs in. */
  readonly who: 'login' | 'user'
  readonly option: '--sqlserver' | '--postgres'
  readonly protocol: RegExp
  readonly given: string | undefined
  readonly password: string | undefined
  readonly passwordVariable: 'SQLSERVER_PASSWORD' | 'POSTGRES_PASSWORD'
  readonly adminFile: 'sqlserver_admin_url' | 'postgres_admin_url'
  readonly serviceFile: 'sqlserver_url' | 'postgres_url'
}

/**
 * The address to begin with: that of the option, else that of an earlier run if it is to be kept.
 *
 * @returns `url`: null where it has to be asked for; `before`: an earlier run's, to propose
 * @throws SyncError SYNC_USAGE for an option that cannot be used, or that lacks its password
 */
export async function firstAddress(
  { previous, ask }: Session,
  scratch: Scratch,
  asked: Asked,
): Promise<{ readonly url: string | null; readonly before: string | undefined }> {
  const admin = knownUrl(scratch, previous.secret(asked.adminFile))
  const before = admin ?? knownUrl(scratch, previous.secret(asked.serviceFile))
  if (asked.given !== undefined) {
    const address = withoutPassword(asked.given, asked.option, asked.protocol)
    const password = asked.password ?? (await ask?.secret(`Password of ${userOf(address) || `the ${asked.who}`}`))
    if (password === undefined)
      throw refusal(
        `The password of the ${asked.who} in ${asked.option} is missing: give ${asked.option}-password-file, or ${asked.passwordVariable} in the environment`,
      )
    return { url: withLogin(address, userOf(address), password), before }
  }
  // Where the login that installed has been forgotten, the services' own is there; it cannot install.
  const kept = ask === null ? before : admin
  if (kept === undefined) return { url: null, before }
  const keeps = ask === null || (await ask.confirm(`Keep ${userOf(kept)} at ${hostOf(kept)} for ${asked.name}?`, true))
  return { url: keeps ? kept : null, before }
}
