import type { Row, Value } from '@clinic-sync/contracts'
import { type Column, type Table, tableNamed } from '@clinic-sync/mapping'
import pg from 'pg'
import { Refused, type Session } from './session.ts'

/** A reference to what is not there, and a key that is there already. */
const REFUSED = new Set(['23503', '23505'])

/** A doctor at the portal: a connection of their own, under Row Level Security, as `role`. */
export async function openDoctor(url: string, role: string): Promise<Session> {
  const client = new pg.Client({ connectionString: url, application_name: 'prove: a doctor' })
  client.on('error', () => undefined)
  await client.connect()
  // A day stays the text that it is.
  client.setTypeParser(pg.types.builtins.DATE, (text: string) => text)
  await client.query(`SET ROLE ${role}`)
  // Longer than anybody holds a row on purpose.
  await client.query(`SET lock_timeout = '20s'`)

  async function run(text: string, values: readonly Value[] = []): Promise<readonly Record<string, unknown>[]> {
    try {
      return (await client.query<Record<string, unknown>>(text, [...values])).rows
    } catch (error) {
      throw error instanceof pg.DatabaseError && REFUSED.has(error.code ?? '') ? new Refused() : error
    }
  }

  const hold = async (table: Table, key: number): Promise<Row | null> => {
    const names = table.columns.map(({ name }) => name).join(', ')
    const text = `SELECT ${names} FROM public.${table.name} WHERE ${table.key.name} = $1 FOR NO KEY UPDATE`
    const [cells] = await run(text, [key])
    if (cells === undefined) return null
    return Object.fromEntries(table.columns.map((column) => [column.name, fromCell(column, cells[column.name])]))
  }

  return {
    async begin() {
      await run('BEGIN')
    },
    hold: (name, key) => hold(tableNamed(name), key),
    async update(name, key, changes) {
      const sets = Object.keys(changes).map((column, i) => `${column} = $${i + 2}`)
      const table = tableNamed(name)
      await run(`UPDATE public.${name} SET ${sets.join(', ')} WHERE ${table.key.name} = $1`, [
        key,
        ...Object.values(changes),
      ])
    },
    async insert(name, key, row) {
      if (key !== null) throw new TypeError('a doctor chooses no key')
      const names = Object.keys(row)
      const places = names.map((_, i) => `$${i + 1}`)
      const column = tableNamed(name).key.name
      const [made] = await run(
        `INSERT INTO public.${name} (${names.join(', ')}) VALUES (${places.join(', ')}) RETURNING ${column} AS id`,
        Object.values(row),
      )
      const id = Number(made?.id)
      if (!(id < 0)) throw new Error(`a record born in the portal has a key of 0 or above: ${name}/${id}`)
      return id
    },
    async remove(name, key) {
      const table = tableNamed(name)
      const row = await hold(table, key)
      await run(`DELETE FROM public.${name} WHERE ${table.key.name} = $1`, [key])
      return row === null ? [] : [{ table: name, key, row }]
    },
    async pay() {
      throw new TypeError('a doctor takes no payments')
    },
    async commit() {
      await run('COMMIT')
    },
    async rollback() {
      await run('ROLLBACK').catch(() => undefined)
    },
    close: () => client.end(),
  }
}

function fromCell(column: Column, value: unknown): Value {
  if (value === null || value === undefined) return null
  if (value instanceof Date) return value.toISOString()
  return column.type === 'decimal' ? String(value) : (value as Value)
}

/** A doctor's failed statement, without the server's text: that may hold values. */
export const doctorError = (error: unknown): string =>
  error instanceof pg.DatabaseError ? `SQLSTATE ${error.code}` : error instanceof Error ? error.name : '?'
