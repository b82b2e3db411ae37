import { parseAddress } from '@clinic-sync/clinic'
import { type Environment, readSettings } from '@clinic-sync/runtime'
import { SyncError } from '@clinic-sync/sync'

/**
 * The clinic's address with the login that installs: SQLSERVER_ADMIN_URL, or SQLSERVER_URL where that one may do all.
 *
 * @throws SyncError SYNC_CONFIG that names the setting at fault.
 */
export function adminUrl(environment: Environment): string {
  const { SQLSERVER_ADMIN_URL: admin } = readSettings(['SQLSERVER_ADMIN_URL'], environment)
  if (admin === '') return readSettings(['SQLSERVER_URL'], environment).SQLSERVER_URL
  try {
    parseAddress(admin)
  } catch (cause) {
    if (!(cause instanceof SyncError)) throw cause
    throw new SyncError(cause.code, cause.message.replace('SQLSERVER_URL', 'SQLSERVER_ADMIN_URL'), { cause })
  }
  return admin
}

/** The portal's address with the role that installs: POSTGRES_ADMIN_URL, or POSTGRES_URL where that one may do all. */
export const portalAdminUrl = (environment: Environment): string =>
  readSettings(['POSTGRES_ADMIN_URL'], environment).POSTGRES_ADMIN_URL ||
  readSettings(['POSTGRES_URL'], environment).POSTGRES_URL

/** Whether the login that installs is not given, so that the services' own is all there is. */
export const installsAsService = (side: 'clinic' | 'portal', environment: Environment): boolean =>
  side === 'clinic'
    ? readSettings(['SQLSERVER_ADMIN_URL'], environment).SQLSERVER_ADMIN_URL === ''
    : readSettings(['POSTGRES_ADMIN_URL'], environment).POSTGRES_ADMIN_URL === ''

/** The same settings, where everything of the clinic is done with the login that installs. @throws SyncError SYNC_CONFIG */
export const asAdministrator = (environment: Environment): Environment => ({
  ...environment,
  SQLSERVER_URL: adminUrl(environment),
  SQLSERVER_URL_FILE: undefined,
})
