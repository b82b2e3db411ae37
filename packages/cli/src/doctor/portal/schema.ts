import { allColumns, type Column, type Table, tables } from '@clinic-sync/mapping'
import type { ColumnFacts, PortalFacts } from '@clinic-sync/portal'
import { type Check, checksOf, counted } from '../check.ts'

const { ok, warn, fail } = checksOf('portal')

/** Whether the tables can take what the mapping sends. */
export function schemaChecks(facts: PortalFacts): Check[] {
  return [...columnChecks(facts), ...rowSecurity(facts), ...keyChecks(facts)]
}

function columnChecks(facts: PortalFacts): Check[] {
  const there = new Set(facts.tables.map(({ name }) => name))
  const gone = tables.filter(({ name }) => !there.has(name)).map(({ name }) => name)
  if (gone.length > 0)
    return [
      fail(
        'tables',
        'The synced tables are there',
        `no table ${gone.join(', ')} in schema public`,
        'Check that POSTGRES_URL names the right database; to create the tables: npm run sync -- migrate portal --with-portal-tables',
      ),
    ]
  const checks = tables.flatMap((table) =>
    tableChecks(
      table,
      facts.columns.filter((column) => column.table === table.name),
    ),
  )
  const columns = tables.flatMap(allColumns).length
  if (checks.length > 0) return checks
  return [
    ok('tables', 'The synced tables and columns are there', `${counted(tables.length, 'table')}, ${columns} columns`),
  ]
}

function tableChecks(table: Table, columns: readonly ColumnFacts[]): Check[] {
  const found = new Map(columns.map((column) => [column.name, column]))
  const mapped = new Set(allColumns(table).map(({ name }) => name))
  const missing = allColumns(table).filter(({ name }) => !found.has(name))
  const title = `The columns of ${table.name} are there`
  const checks: Check[] = []
  if (missing.length > 0)
    checks.push(
      fail(
        `columns.${table.name}`,
        title,
        `missing: ${missing.map(({ name }) => name).join(', ')}`,
        `ALTER TABLE public.${table.name} ${missing.map(({ name, portalType }) => `ADD COLUMN ${name} ${portalType}`).join(', ')};`,
      ),
    )
  const alone = columns.filter(({ name, required }) => required && !mapped.has(name)).map(({ name }) => name)
  if (alone.length > 0)
    checks.push(
      fail(
        `required.${table.name}`,
        `The sync can insert into ${table.name}`,
        `it gives no value for ${alone.join(', ')}, which must not be null and has no default`,
        `ALTER TABLE public.${table.name} ${alone.map((name) => `ALTER COLUMN ${name} DROP NOT NULL`).join(', ')};`,
      ),
    )
  for (const column of allColumns(table)) {
    const type = found.get(column.name)?.type
    const fit = type === undefined ? 'fits' : fits(column, type)
    if (fit === 'fits') continue
    const words = `${table.name}.${column.name} is ${type}, the sync writes ${column.portalType}`
    const todo = `ALTER TABLE public.${table.name} ALTER COLUMN ${column.name} TYPE ${column.portalType};`
    const word = `type.${table.name}.${column.name}`
    checks.push(
      fit === 'narrow'
        ? warn(
            word,
            `${table.name}.${column.name} takes every value`,
            `${words}: what does not fit becomes a dead letter`,
            todo,
          )
        : fail(word, `${table.name}.${column.name} takes the sync's values`, words, todo),
    )
  }
  return checks
}

/** `narrow`: some values do not fit. `type` is as format_type prints it. */
export function fits({ type: kind, portalType }: Column, type: string): 'fits' | 'narrow' | 'wrong' {
  const [, length] = /^character varying\((\d+)\)$/.exec(type) ?? []
  switch (kind) {
    case 'int':
      return type === 'integer' || type === 'bigint' ? 'fits' : type === 'smallint' ? 'narrow' : 'wrong'
    case 'bigint':
      return type === 'bigint' ? 'fits' : type === 'integer' ? 'narrow' : 'wrong'
    case 'boolean':
    case 'date':
      return type === kind ? 'fits' : 'wrong'
    case 'instant':
      // Without a zone, an instant would be stored as whatever the session's zone makes of it.
      return /^timestamp(\([3-6]\))? with time zone$/.test(type)
        ? 'fits'
        : /^timestamp\([0-2]\) with time zone$/.test(type)
          ? 'narrow'
          : 'wrong'
    case 'decimal':
      return decimalFits(portalType, type)
    case 'text': {
      if (type === 'text' || type === 'character varying' || type === 'citext') return 'fits'
      if (length === undefined) return type.startsWith('character') ? 'wrong' : 'narrow'
      const needed = Number(/\((\d+)\)/.exec(portalType)?.[1] ?? Number.POSITIVE_INFINITY)
      return Number(length) >= needed ? 'fits' : 'narrow'
    }
  }
}

function decimalFits(wanted: string, type: string): 'fits' | 'narrow' | 'wrong' {
  if (type === 'numeric') return 'fits'
  const [, precision, scale] = /^numeric\((\d+),(\d+)\)$/.exec(type)?.map(Number) ?? []
  const [, wantedPrecision, wantedScale] = /\((\d+),(\d+)\)/.exec(wanted)?.map(Number) ?? []
  if (precision === undefined || scale === undefined || wantedPrecision === undefined || wantedScale === undefined)
    return 'wrong'
  // Fewer decimals would be rounded without a word, and the two sides would differ.
  if (scale < wantedScale) return 'wrong'
  return precision - scale >= wantedPrecision - wantedScale ? 'fits' : 'narrow'
}

function rowSecurity(facts: PortalFacts): Check[] {
  const open = facts.tables.filter((table) => !table.rowSecurity).map(({ name }) => name)
  const title = 'Row Level Security guards the synced tables'
  if (facts.tables.length === 0) return []
  if (open.length === 0) return [ok('row-security', title, 'on for each')]
  return [
    warn(
      'row-security',
      title,
      `off for ${open.join(', ')}: whoever has the project's public key may read it`,
      open.map((name) => `ALTER TABLE public.${name} ENABLE ROW LEVEL SECURITY;`).join(' '),
    ),
  ]
}

/** New rows of both sides must never take the same key. */
function keyChecks(facts: PortalFacts): Check[] {
  return tables
    .filter((table) => table.portalInserts && facts.tables.some(({ name }) => name === table.name))
    .map((table) => {
      const increment = facts.keys.find((key) => key.table === table.name)?.increment ?? null
      const title = `New keys of ${table.name} count down, away from the clinic's`
      if (increment !== null && increment < 0) return ok(`keys.${table.name}`, title, `by ${-increment}`)
      return fail(
        `keys.${table.name}`,
        title,
        increment === null
          ? 'no sequence gives them'
          : `they count up by ${increment}: a doctor's row would take a key of the clinic's`,
        "Run migrations/postgres/04_sync_capture.sql in Supabase's SQL editor.",
      )
    })
}
