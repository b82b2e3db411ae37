import { allColumns, syncsBack, tables } from '@clinic-sync/mapping'
import { DatabaseError } from '@clinic-sync/sync'
import type { Database } from './pool.ts'

const FUNCTIONS = [
  'sync.apply_clinic_batch(jsonb)',
  'sync.apply_clinic_changes(jsonb)',
  'sync.take_changes(integer,bigint)',
  'sync.settle_changes(jsonb)',
  'sync.read_rows(text,integer,integer)',
  'sync.is_held()',
  'sync.bookkeeping(jsonb,integer)',
]

/** What captures people's edits; a switched off trigger would let them go unnoticed. */
const TRIGGERS = ['00_sync_capture', '00_sync_capture_update', '00_sync_capture_truncate']
/** What tells of them. */
const BELLS = ['ring_listeners', 'ring_webhook']

/**
 * What of `$1` (functions), `$2`.`$3` (tables, columns) and the triggers `$5` of `$4` and `$6` of the outbox is missing,
 * and whether the server takes writes.
 */
const QUERY = `
  SELECT 'function' AS kind, f.name
    FROM unnest($1::text[]) AS f (name) WHERE to_regprocedure(f.name) IS NULL
  UNION ALL
  SELECT CASE WHEN to_regclass('public.' || c.table_name) IS NULL THEN 'table' ELSE 'column' END,
      'public.' || c.table_name || '.' || c.name
    FROM unnest($2::text[], $3::text[]) AS c (table_name, name)
    WHERE NOT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = to_regclass('public.' || c.table_name)
      AND a.attname = c.name AND NOT a.attisdropped)
  UNION ALL
  SELECT 'trigger', c.table_name FROM unnest($4::text[]) AS c (table_name) CROSS JOIN unnest($5::text[]) AS g (name)
    WHERE NOT EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = to_regclass('public.' || c.table_name)
      AND t.tgname = g.name AND t.tgenabled IN ('O', 'A'))
  UNION ALL
  SELECT 'bell', g.name FROM unnest($6::text[]) AS g (name)
    WHERE NOT EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = to_regclass('sync.queue')
      AND t.tgname = g.name AND t.tgenabled IN ('O', 'A'))
  UNION ALL
  SELECT 'read-only', '' WHERE current_setting('transaction_read_only') = 'on'`

/** Resolves if schema sync, every mapped table and column, and the triggers are there, and all can be written. */
export async function check(database: Database): Promise<void> {
  const columns = tables.flatMap((table) => allColumns(table).map(({ name }) => [table.name, name] as const))
  const rows = await database.query(QUERY, [
    FUNCTIONS,
    columns.map(([table]) => table),
    columns.map(([, name]) => name),
    tables.filter(syncsBack).map(({ name }) => name),
    TRIGGERS,
    BELLS,
  ])
  const missing = (kind: string) => rows.filter((row) => row.kind === kind).map((row) => row.name)
  if (missing('function').length > 0) {
    throw notMigrated("the portal's database has no schema sync, or an older one")
  }
  const [table] = missing('table')
  if (table)
    throw notMigrated(`the portal lacks table ${table.replace(/\.[^.]*$/, '')} (00_portal_tables.sql makes it)`)
  const [column] = missing('column')
  if (column) throw notMigrated(`the portal lacks column ${column}`)
  const [silent] = missing('trigger')
  if (silent)
    throw notMigrated(`the portal does not capture edits of ${silent} (04_sync_capture.sql makes its triggers)`)
  const [bell] = missing('bell')
  if (bell) throw notMigrated(`nobody hears of the portal's edits: sync.queue lacks ${bell} (05_portal_doorbells.sql)`)
  if (missing('read-only').length > 0) {
    throw new DatabaseError('down', "the portal's database is read-only (25006)", { number: '25006' })
  }
  const [held] = await database.query('SELECT sync.is_held() AS held')
  if (held?.held === 't' || held?.held === 'true')
    throw new DatabaseError('down', 'the portal was restored from a backup, and that is not repaired yet (CS001)', {
      code: 'SYNC_RESTORED',
      number: 'CS001',
    })
}

const notMigrated = (message: string) => new DatabaseError('down', message, { code: 'SYNC_NOT_MIGRATED' })
