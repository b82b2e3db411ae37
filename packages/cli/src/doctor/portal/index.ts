import type { PortalFacts } from '@clinic-sync/portal'
import type { MigrationFile } from '../../migrate/files.ts'
import { type Check, checksOf } from '../check.ts'
import { migrationChecks } from '../migrations.ts'
import { outboxChecks } from '../outbox.ts'
import { captureChecks } from './capture.ts'
import { schemaChecks } from './schema.ts'
import { noteChecks, serverChecks } from './server.ts'

const { fail } = checksOf('portal')

const FAILED =
  "SELECT queue_id, table_name, record_id, operation, last_attempt, last_error FROM sync.queue WHERE status = 'Failed' ORDER BY queue_id;"
/** For those who start without the portal's tables: a portal of its own never has them. */
const OPTIONAL = /^00_portal_tables/

/** Everything about a portal that answers, but for its doorbell. */
export function portalChecks(facts: PortalFacts, files: readonly MigrationFile[]): Check[] {
  const { schema, role } = facts.server
  const recorded = facts.migrations ?? new Map<string, string>()
  const applied = new Set(files.filter(({ name, checksum }) => recorded.get(name) === checksum).map(({ name }) => name))
  const wanted = files.filter(({ name }) => !OPTIONAL.test(name))
  const known = new Set(files.map(({ name }) => name))
  const server = serverChecks(facts)
  const tables = [...schemaChecks(facts), ...noteChecks(facts)]
  if (schema === 'forbidden' || (schema === 'usable' && facts.migrations === null && facts.outbox === null)) {
    const found = `role ${role} may not use it. Left out: migrations, capture, outbox`
    const todo = 'Put the owner of schema sync, the role that migrated the portal, into POSTGRES_URL (.env).'
    return [...server, fail('schema', 'The role may use schema sync', found, todo), ...tables]
  }
  return [
    ...server,
    // First: where the tables are missing, no migration helps.
    ...tables,
    ...migrationChecks('portal', wanted, known, recorded),
    ...captureChecks(facts, files, applied),
    ...(facts.outbox === null ? [] : outboxChecks('portal', facts.outbox, FAILED)),
  ]
}
