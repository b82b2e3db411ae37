import { SyncError } from '@clinic-sync/sync'

/** Why a server cannot listen, for the operator: the place, Node's code, and the settings that name the place. */
export function cannotListen(cause: unknown, place: { host: string; port: number; settings: string }): SyncError {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'no reason given'
  const { host, port, settings } = place
  return new SyncError('SYNC_CONFIG', `Nothing can listen at ${host}, port ${port} (${code}): check ${settings}.`, {
    cause,
  })
}
