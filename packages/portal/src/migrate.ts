import pg from 'pg'
import { toDatabaseError } from './failure.ts'
import { connectionSettings } from './pool.ts'

export interface Migration {
  readonly name: string
  readonly sql: string
}

/**
 * Runs migration files, each in one transaction of its own, on one connection. Files are sent whole: Postgres itself
 * splits them into statements. Rejects with a DatabaseError.
 */
export async function runMigration(url: string, ...files: readonly Migration[]): Promise<void> {
  const client = new pg.Client({ ...connectionSettings(url), statement_timeout: 600_000 })
  client.on('error', () => {})
  try {
    await client.connect()
    // "… already exists, skipping" is what running a file twice is meant to say.
    await client.query("SET client_min_messages = 'warning'")
    for (const { sql } of files) {
      try {
        await client.query(`BEGIN;\n${sql}\nCOMMIT;`)
      } catch (error) {
        await client.query('ROLLBACK').catch(() => {})
        throw error
      }
    }
  } catch (error) {
    throw toDatabaseError(error)
  } finally {
    await client.end().catch(() => {})
  }
}
