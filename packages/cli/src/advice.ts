import type { SyncError } from '@clinic-sync/sync'

/** What to do about an error of a command. To run the command that failed is no cure: its message names what comes first. */
export function adviceOf({ code, advice }: Pick<SyncError, 'code' | 'advice'>, command: string | undefined): string {
  // What init refuses, it refuses before it writes anything.
  if (code === 'SYNC_USAGE' && command === 'init') return 'Nothing was written: correct it, then run the command again.'
  return code === 'SYNC_NO_DOORBELL' && command === 'doorbell' ? 'Then run this command again.' : advice
}
