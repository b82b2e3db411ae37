import { inspectPortal, type PortalFacts } from '@clinic-sync/portal'
import type { Settings } from '@clinic-sync/runtime'

/** Asks the portal, as the sync's own role. Neither secret nor key leaves the comparison. @throws SyncError */
export function askPortal(settings: Partial<Settings> & Pick<Settings, 'POSTGRES_URL'>): Promise<PortalFacts> {
  const keys = (settings.SYNC_WEBHOOK_KEYS ?? '').split(/\s+/).filter((key) => key !== '')
  return inspectPortal({
    url: settings.POSTGRES_URL,
    isSecret: (text) => text === settings.SYNC_WEBHOOK_SECRET,
    keys,
  })
}

/** A name as SQL quotes it, where it needs to be. */
export const quoted = (name: string): string =>
  /^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`
