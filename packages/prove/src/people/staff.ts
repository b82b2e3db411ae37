import { openZone, parseAddress, type Zone } from '@clinic-sync/clinic'
import type { Key, Value } from '@clinic-sync/contracts'
import { type Column, type Table, type TableName, tableNamed } from '@clinic-sync/mapping'
import mssql from 'mssql'
import { type Gone, Refused, type Session } from './session.ts'

/** A conflicting reference, and a key or unique value that is there already. */
const REFUSED = new Set([547, 2601, 2627])
/** Longer than anybody holds a row on purpose: a longer wait is a fault. Milliseconds. */
const PATIENCE = 20_000

/** A member of the clinic's staff: one connection of their own. */
export async function openStaff(url: string, timeZone: string): Promise<Session> {
  const pool = new mssql.ConnectionPool({
    ...parseAddress(url),
    pool: { min: 1, max: 1 },
    requestTimeout: PATIENCE,
  })
  pool.on('error', () => undefined)
  await pool.connect()
  const zone = openZone(timeZone)
  let transaction: mssql.Transaction | undefined

  async function run(text: string, inputs: Readonly<Record<string, Value>> = {}) {
    if (transaction === undefined) throw new TypeError('no transaction')
    const request = transaction.request()
    for (const [name, value] of Object.entries(inputs)) request.input(name, parameterType(value), value)
    try {
      const { recordset } = await request.query<Record<string, unknown>>(text)
      return recordset ?? []
    } catch (error) {
      throw error instanceof mssql.RequestError && REFUSED.has(Number(error.number)) ? new Refused() : error
    }
  }

  async function rowsOf(table: Table, where: string, key: Key) {
    const columns = stored(table)
    const names = [table.key, ...columns].map(({ clinic }) => clinic).join(', ')
    const rows = await run(`SELECT ${names} FROM dbo.${table.clinic} WHERE ${where} = @key ORDER BY 1`, { key })
    return rows.map((cells) => ({
      table: table.name,
      key: Number(cells[table.key.clinic]),
      row: Object.fromEntries(columns.map((column) => [column.name, fromCell(column, cells[column.clinic], zone)])),
    }))
  }

  /** Locks without a change: an update to what is there already, which every engine takes for a write. */
  async function lock(table: Table, where: string, key: Key): Promise<void> {
    const column = table.parents[0]?.column ?? table.columns[0]?.name
    const name = table.columns.find((candidate) => candidate.name === column)?.clinic
    await run(`UPDATE dbo.${table.clinic} SET ${name} = ${name} WHERE ${where} = @key`, { key })
  }

  const cell = (column: Column, value: Value) =>
    column.type === 'instant' && typeof value === 'string' ? zone.toWall(value) : value

  return {
    async begin() {
      transaction = pool.transaction()
      await transaction.begin()
    },
    async hold(name, key) {
      const table = tableNamed(name)
      await lock(table, table.key.clinic, key)
      const [found] = await rowsOf(table, table.key.clinic, key)
      return found?.row ?? null
    },
    async update(name, key, changes) {
      const table = tableNamed(name)
      const columns = stored(table).filter((column) => column.name in changes)
      const sets = columns.map(({ clinic }, i) => `${clinic} = @v${i}`).join(', ')
      const values = Object.fromEntries(
        columns.map((column, i) => [`v${i}`, cell(column, changes[column.name] ?? null)]),
      )
      await run(`UPDATE dbo.${table.clinic} SET ${sets} WHERE ${table.key.clinic} = @key`, { key, ...values })
    },
    async insert(name, key, row) {
      const table = tableNamed(name)
      const columns = [...(key === null ? [] : [table.key]), ...stored(table).filter((column) => column.name in row)]
      const values = columns.map((column) => (column === table.key ? key : cell(column, row[column.name] ?? null)))
      const target = `dbo.${table.clinic}`
      const extra = EXTRA[name] ?? {}
      const names = [...columns.map(({ clinic }) => clinic), ...Object.keys(extra)].join(', ')
      const places = [...values.map((_, i) => `@v${i}`), ...Object.values(extra)].join(', ')
      const insert = `INSERT INTO ${target} (${names}) VALUES (${places})`
      const text =
        key === null
          ? `${insert}; SELECT CAST(SCOPE_IDENTITY() AS int) AS id, CAST(@@IDENTITY AS int) AS seen`
          : `SET IDENTITY_INSERT ${target} ON; ${insert}; SET IDENTITY_INSERT ${target} OFF`
      const [made] = await run(text, Object.fromEntries(values.map((value, i) => [`v${i}`, value])))
      if (key !== null) return key
      if (made?.id !== made?.seen) throw new Error(`@@IDENTITY after an insert into ${table.clinic} is another table's`)
      return Number(made?.id)
    },
    async remove(name, key) {
      const gone: Gone[] = []
      if (name === 'aligner_sets') {
        for (const child of CHILDREN) {
          const table = tableNamed(child)
          await lock(table, 'AlignerSetID', key)
          gone.push(...(await rowsOf(table, 'AlignerSetID', key)))
        }
        for (const child of ['tblAlignerNotes', 'tblAlignerBatches', 'tblInvoice'])
          await run(`DELETE FROM dbo.${child} WHERE AlignerSetID = @key`, { key })
      }
      const table = tableNamed(name)
      gone.push(...(await rowsOf(table, table.key.clinic, key)))
      await run(`DELETE FROM dbo.${table.clinic} WHERE ${table.key.clinic} = @key`, { key })
      return gone
    },
    async pay(set, amount) {
      await run('INSERT INTO dbo.tblInvoice (AlignerSetID, Amountpaid) VALUES (@set, @amount)', { set, amount })
    },
    async commit() {
      await transaction?.commit()
      transaction = undefined
    },
    async rollback() {
      const ended = transaction
      transaction = undefined
      // After an error the server may have rolled back already.
      await ended?.rollback().catch(() => undefined)
    },
    close: () => pool.close(),
  }
}

/** In the order in which everybody locks. */
const CHILDREN: readonly TableName[] = ['aligner_batches', 'aligner_notes']

/** What a new row needs besides the synced columns. */
const EXTRA: Partial<Record<TableName, Readonly<Record<string, string>>>> = {
  work: { TotalRequired: '900', DrID: '1', Status: '1' },
}

const stored = (table: Table) => table.columns.filter(({ computed }) => !computed)

function parameterType(value: Value): mssql.ISqlType {
  if (typeof value === 'number') return mssql.Int()
  return typeof value === 'boolean' ? mssql.Bit() : mssql.NVarChar(mssql.MAX)
}

/** A column as the driver gives it, in wire form. Its Date is the wall clock's reading as if it were UTC. */
function fromCell(column: Column, value: unknown, zone: Zone): Value {
  if (value === null || value === undefined) return null
  if (value instanceof Date) {
    const text = value.toISOString()
    return column.type === 'date' ? text.slice(0, 10) : zone.toInstant(text.slice(0, -1))
  }
  if (column.type === 'decimal') return Number(value).toFixed(2)
  return value as Value
}

/** What the clinic's own words for a person's failed statement are, without its text: that may hold values. */
export const staffError = (error: unknown): string =>
  error instanceof mssql.RequestError ? `error ${error.number ?? error.code}` : nameOf(error)

const nameOf = (error: unknown) => (error instanceof Error ? `${error.name} ${'code' in error ? error.code : ''}` : '?')
