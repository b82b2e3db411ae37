import type { Side } from '@clinic-sync/contracts'
import { SyncError } from '@clinic-sync/sync'
import { askClinic, engineOf } from '../doctor/clinic/facts.ts'
import { askPortal } from '../doctor/portal/facts.ts'
import type { Engine } from './engine.ts'
import type { Recorded } from './target.ts'

/** What has been applied, as a login tells that may not install. */
export interface Told {
  readonly recorded: ReadonlyMap<string, Recorded>
  /** Clinic: what its engine is, and the doorbell that is switched on. */
  readonly engine?: Engine
  readonly doorbell?: string
}

/**
 * Asks with the services' login, which may not read what `migrate` reads: sync.Inspect in the clinic, sync.migrations in the portal.
 *
 * @returns null: it cannot tell, since nothing is installed, or an older version is.
 * @throws DatabaseError where the database cannot be reached
 */
export async function askAsService(side: Side, url: string): Promise<Told | null> {
  if (side === 'portal') {
    const { migrations } = await askPortal({ POSTGRES_URL: url })
    return migrations && { recorded: recordedIn(migrations) }
  }
  try {
    // No time is converted here.
    const facts = await askClinic({ SQLSERVER_URL: url, CLINIC_TIME_ZONE: 'UTC' })
    const migrations = facts.all('migration:').flatMap(([name, sum]) => (sum === null ? [] : [[name, sum] as const]))
    return { recorded: recordedIn(migrations), engine: engineOf(facts), doorbell: facts.get('Doorbell') ?? 'none' }
  } catch (error) {
    if (error instanceof SyncError && error.code === 'SYNC_NOT_MIGRATED') return null
    throw error
  }
}

const recordedIn = (migrations: Iterable<readonly [string, string]>): ReadonlyMap<string, Recorded> =>
  new Map([...migrations].map(([name, sum]) => [name, { checksum: sum.trim(), at: 'when it was installed' }]))
