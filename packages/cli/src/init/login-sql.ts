import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { SyncError } from '@clinic-sync/sync'

const FOLDERS = { clinic: 'migrations/sqlserver/by-hand/', portal: 'migrations/postgres/by-hand/' } as const
/** Three levels up from `src/init` as from `dist/init`. */
const ROOT = new URL('../../../../', import.meta.url)

/** The placeholders of each side's file, as whoever runs it by hand fills them in. */
const PLACES = {
  clinic: {
    login: /(?<=^DECLARE @Login nvarchar\(128\) = N')[^']*(?='$)/m,
    password: /(?<=^DECLARE @Password nvarchar\(128\) = N')(?='$)/m,
  },
  portal: { login: /(?<=^  login text := ')[^']*(?=';$)/m, password: /(?<=^  password text := ')(?=';$)/m },
} as const

/** Where that side's file is, for people. */
export const loginFile = (side: 'clinic' | 'portal') => `${FOLDERS[side]}service_login.sql`

/**
 * The SQL that makes the services' login, filled in.
 *
 * @param password of letters, digits, - and _.
 * @throws SyncError SYNC_MIGRATION_FAILED if the file is not as it was shipped.
 */
export function loginSql(side: 'clinic' | 'portal', login: string, password: string): string {
  const text = readFileSync(fileURLToPath(new URL(loginFile(side), ROOT)), 'utf8').replaceAll('\r\n', '\n')
  const places = PLACES[side]
  if (!places.login.test(text) || !places.password.test(text))
    throw new SyncError(
      'SYNC_MIGRATION_FAILED',
      `${loginFile(side)} is not as it was shipped: its login or password cannot be filled in.`,
    )
  return text.replace(places.login, () => login.replaceAll("'", "''")).replace(places.password, () => password)
}
