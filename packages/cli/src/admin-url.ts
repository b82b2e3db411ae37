import { type Environment, readSettings } from '@clinic-sync/runtime'

/**
 * The clinic's address with the login that installs: SQLSERVER_ADMIN_URL, or SQLSERVER_URL where that one may do all.
 *
 * @throws SyncError SYNC_CONFIG
 */
export function adminUrl(environment: Environment): string {
  const { SQLSERVER_ADMIN_URL: admin } = readSettings(['SQLSERVER_ADMIN_URL'], environment)
  return admin === '' ? readSettings(['SQLSERVER_URL'], environment).SQLSERVER_URL : admin
}
