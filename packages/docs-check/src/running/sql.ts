import { splitBatches } from '@clinic-sync/clinic'
import mssql from 'mssql'
import type pg from 'pg'
import type { Ran } from './shell.ts'

/** Runs T-SQL batch by batch on one connection, as SSMS would. The output is what it prints, and each row as JSON. */
export async function runOnClinic(script: string, pool: mssql.ConnectionPool, rolledBack: boolean): Promise<Ran> {
  const lines: string[] = []
  const transaction = new mssql.Transaction(pool)
  // Rolled back by the server itself after an error: that is told by the error.
  transaction.on('rollback', () => undefined)
  if (rolledBack) await transaction.begin()
  try {
    for (const { sql, repeat } of splitBatches(script))
      for (let n = 0; n < repeat; n++) {
        const request = rolledBack ? new mssql.Request(transaction) : new mssql.Request(pool)
        request.on('info', ({ message }) => lines.push(message))
        const { recordsets } = await request.batch(sql)
        for (const rows of recordsets as mssql.IRecordSet<unknown>[])
          for (const row of rows) lines.push(JSON.stringify(row))
      }
    return { code: 0, output: lines.join('\n') }
  } catch (error) {
    return { code: 1, output: [...lines, wordsOf(error)].join('\n') }
  } finally {
    if (rolledBack) await transaction.rollback().catch(() => undefined)
  }
}

/** The same for the portal. Statements of one block are one transaction, as in Supabase's SQL editor. */
export async function runOnPortal(script: string, client: pg.Client, rolledBack: boolean): Promise<Ran> {
  if (rolledBack) await client.query('BEGIN')
  try {
    const results = [await client.query(script)].flat() as pg.QueryResult[]
    return { code: 0, output: results.flatMap(({ rows }) => rows.map((row) => JSON.stringify(row))).join('\n') }
  } catch (error) {
    return { code: 1, output: wordsOf(error) }
  } finally {
    if (rolledBack) await client.query('ROLLBACK')
  }
}

const wordsOf = (error: unknown) => (error instanceof Error ? error.message : 'failed')
