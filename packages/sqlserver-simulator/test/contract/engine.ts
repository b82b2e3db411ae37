import { syncedTables, type Table } from '@clinic-sync/mapping'
import { startSimulator } from '../../src/index.ts'
import { openDatabase, type Target } from './real-engine.ts'

export interface EngineOptions {
  /** What the mapping says of the portal's deletes, where it is not what it says for real. */
  readonly portalDeletes?: 'propagate'
  /** The database's collation, on a server: the simulator has but Arabic_CI_AS. */
  readonly collation?: string
}

/** A migrated clinic for one test file: on the server at SQLSERVER_URL if that is set, else in a simulator of its own. */
export async function openEngine({ portalDeletes, collation }: EngineOptions = {}): Promise<Target> {
  const mapped =
    portalDeletes === undefined ? syncedTables : syncedTables.map((table) => withDeletes(table, portalDeletes))
  const server = process.env.SQLSERVER_URL
  return server ? openDatabase(server, mapped, collation) : startSimulator({ migrated: true, tables: mapped })
}

const withDeletes = (table: Table, portal: 'propagate'): Table => ({ ...table, deletes: { ...table.deletes, portal } })
