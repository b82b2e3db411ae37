import { allColumns, tables } from '@clinic-sync/mapping'
import type { PortalFacts } from '@clinic-sync/portal'
import { bounded } from '@clinic-sync/operations'
import { askPortal } from '../doctor/portal/facts.ts'
import type { Trouble } from './session.ts'
import { portalTrouble } from './trouble.ts'

/** What matters of a portal before anything is installed. */
export interface PortalSeen {
  readonly facts: PortalFacts
  /** `aligner_notes`, `aligner_notes.is_read` */
  readonly missing: readonly string[]
  /** None of its tables is there. */
  readonly isEmpty: boolean
  readonly isMigrated: boolean
  /** Whether the role owns every synced table that is there. */
  readonly mayInstall: boolean
}

/** Connects and looks; changes nothing. Bounded by `patienceMs`. */
export async function lookAtPortal(
  url: string,
  patienceMs: number,
  inContainers: boolean,
): Promise<{ seen: PortalSeen } | { trouble: Trouble }> {
  const found = await bounded('Postgres', () => askPortal({ POSTGRES_URL: url }), patienceMs)
  if ('error' in found) return { trouble: await portalTrouble(found.error, url, inContainers) }
  const { facts } = found
  const there = new Set(facts.columns.map(({ table, name }) => `${table}.${name}`))
  const missing = tables.flatMap((table) =>
    facts.tables.some(({ name }) => name === table.name)
      ? allColumns(table)
          .map(({ name }) => `${table.name}.${name}`)
          .filter((name) => !there.has(name))
      : [table.name],
  )
  return {
    seen: {
      facts,
      missing,
      isEmpty: facts.tables.length === 0,
      isMigrated: facts.migrations !== null || facts.server.schema === 'forbidden',
      mayInstall: facts.tables.every(({ owned }) => owned),
    },
  }
}
