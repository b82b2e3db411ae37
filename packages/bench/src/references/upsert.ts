import { allColumns, type TableName, tableNamed, tables } from '@clinic-sync/mapping'
import type { SyncEvent } from '@clinic-sync/contracts'
import pg from 'pg'
import type { Stage } from '../stage/stage.ts'

/** Rows a statement. */
export const BATCH = 200
const SCHEMA = 'bench'

interface Statement {
  readonly text: string
  readonly values: unknown[]
}

/** The portal's tables once more, with their keys, indexes and checks, without triggers, references and our bookkeeping. */
export async function makeRawTables({ portal }: Stage): Promise<void> {
  await portal.query(`DROP SCHEMA IF EXISTS ${SCHEMA} CASCADE; CREATE SCHEMA ${SCHEMA}`)
  for (const { name } of tables)
    await portal.query(
      `CREATE TABLE ${SCHEMA}.${name} (LIKE public.${name} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)`,
    )
}

/** As many connections as write at a time. */
export function rawConnections({ addresses }: Stage, max: number): pg.Pool {
  const pool = new pg.Pool({ connectionString: addresses.portal, max })
  pool.on('error', () => undefined)
  return pool
}

const texts = new Map<TableName, string>()

/** Inserts or overwrites whole rows of one table: an array a column, whatever number of rows there is. */
function textFor(name: TableName): string {
  const table = tableNamed(name)
  const columns = allColumns(table)
  const names = columns.map((column) => column.name)
  const arrays = columns.map(({ portalType }, i) => `$${i + 1}::${portalType.replace(/\(.*\)/, '')}[]`)
  const sets = table.columns.map((column) => `${column.name} = excluded.${column.name}`)
  return `INSERT INTO ${SCHEMA}.${name} (${names.join(', ')}) SELECT * FROM unnest(${arrays.join(', ')})
    ON CONFLICT (${table.key.name}) DO UPDATE SET ${sets.join(', ')}`
}

/** A statement for each table that has events among these. */
export function statementsFor(events: readonly SyncEvent[]): Statement[] {
  return tables.flatMap(({ name }) => {
    const rows = events.flatMap(({ data }) => (data.table === name && data.row !== null ? [data.row] : []))
    if (rows.length === 0) return []
    const text = texts.get(name) ?? textFor(name)
    texts.set(name, text)
    return [{ text, values: allColumns(tableNamed(name)).map((column) => rows.map((row) => row[column.name] ?? null)) }]
  })
}

/** A batch in a transaction, which is durable when this resolves. */
export async function upsert(pool: pg.Pool, events: readonly SyncEvent[]): Promise<void> {
  const statements = statementsFor(events)
  const [only] = statements
  // One statement is a transaction.
  if (only !== undefined && statements.length === 1) return void (await pool.query(named(only)))
  const client = await pool.connect()
  try {
    await client.query('BEGIN')
    for (const statement of statements) await client.query(named(statement))
    await client.query('COMMIT')
  } finally {
    client.release()
  }
}

/** Prepared once a connection. */
const named = ({ text, values }: Statement) => ({ name: /bench\.(\w+)/.exec(text)?.[1], text, values })
