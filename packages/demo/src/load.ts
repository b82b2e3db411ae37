import mssql from 'mssql'
import type { SampleTable, SampleValue } from './sample/model.ts'
import { sampleClinic } from './sample-clinic.ts'

/** SQL Server takes 2,100 parameters a request (https://learn.microsoft.com/sql/sql-server/maximum-capacity-specifications). */
const MAX_PARAMETERS = 2_000

/** How many rows each table got, by the clinic's table name. */
export type Loaded = Readonly<Record<string, number>>

/**
 * Inserts the sample clinic into empty clinic tables, in one transaction.
 *
 * Every value travels as a parameter, dates and decimals as text in the forms that SQL Server reads alike under every
 * language setting. Works on the simulator and on a real SQL Server.
 *
 * @param options `seed`: another clinic. `nul: false`: without U+0000, for an engine that cannot store it.
 * @throws Error if the clinic has patients already: sample data never mixes with a clinic's own.
 */
export async function loadSampleClinic(
  pool: mssql.ConnectionPool,
  { seed, nul = true }: { readonly seed?: number; readonly nul?: boolean } = {},
): Promise<Loaded> {
  const clinic = sampleClinic(seed)
  return loadClinic(pool, nul ? clinic : clinic.map(withoutNul))
}

/** As `loadSampleClinic`, any invented clinic: parents before children. @throws Error if the clinic has patients already */
export async function loadClinic(pool: mssql.ConnectionPool, tables: readonly SampleTable[]): Promise<Loaded> {
  if (await hasPatients(pool)) throw new Error('This clinic has patients already: no sample data was loaded.')
  const transaction = pool.transaction()
  await transaction.begin()
  try {
    const loaded: Record<string, number> = {}
    for (const table of tables) loaded[table.name] = await insertTable(transaction, table)
    await transaction.commit()
    return loaded
  } catch (error) {
    // Where the server has rolled back already (XACT_ABORT), a second rollback fails: the first error is what matters.
    await transaction.rollback().catch(() => undefined)
    throw error
  }
}

/** Whether the clinic's patients table holds a row. */
export async function hasPatients(pool: mssql.ConnectionPool): Promise<boolean> {
  const result = await pool.request().query('SELECT TOP (1) PersonID FROM dbo.tblpatients')
  return result.recordset.length > 0
}

async function insertTable(transaction: mssql.Transaction, table: SampleTable): Promise<number> {
  const columns = Object.keys(table.rows[0] ?? {})
  const perPage = Math.floor(MAX_PARAMETERS / columns.length)
  for (let from = 0; from < table.rows.length; from += perPage) {
    const request = transaction.request()
    const tuples = table.rows.slice(from, from + perPage).map((row, r) => {
      const names = columns.map((column, c) => {
        const name = `p${r}_${c}`
        request.input(name, parameterType(table, column), row[column])
        return `@${name}`
      })
      return `(${names.join(', ')})`
    })
    const target = `dbo.${table.name}`
    await request.query(
      `SET IDENTITY_INSERT ${target} ON; ` +
        `INSERT INTO ${target} (${columns.join(', ')}) VALUES ${tuples.join(', ')}; ` +
        `SET IDENTITY_INSERT ${target} OFF`,
    )
  }
  return table.rows.length
}

function withoutNul(table: SampleTable): SampleTable {
  const bare = (value: SampleValue): SampleValue => (typeof value === 'string' ? value.replaceAll('\u0000', '') : value)
  const rows = table.rows.map((row) =>
    Object.fromEntries(Object.entries(row).map(([column, value]) => [column, bare(value)])),
  )
  return { ...table, rows }
}

/** A column has one parameter type in all its rows, nulls included: a row constructor unifies the types of its rows. */
function parameterType(table: SampleTable, column: string): mssql.ISqlType {
  const sample: SampleValue | undefined = table.rows.find((row) => row[column] !== null)?.[column]
  if (typeof sample === 'number') return mssql.Int()
  if (typeof sample === 'boolean') return mssql.Bit()
  return mssql.NVarChar(mssql.MAX)
}
