import { DatabaseError } from '@clinic-sync/sync'
import pg from 'pg'
import { isServerError, toDatabaseError } from './failure.ts'
import { connectionSettings } from './pool.ts'

export interface Migration {
  readonly name: string
  readonly sql: string
}

/** Any number, as long as every installer uses the same: two at once would collide in `CREATE SCHEMA IF NOT EXISTS`. */
const LOCK = 4_711_002

/**
 * Runs migration files, each in one transaction of its own, on one connection. Files are sent whole: Postgres itself
 * splits them into statements. Rejects with a DatabaseError that names the file.
 */
export async function runMigration(url: string, ...files: readonly Migration[]): Promise<void> {
  const client = new pg.Client({ ...connectionSettings(url), statement_timeout: 600_000 })
  client.on('error', () => {})
  try {
    await client.connect()
    // "… already exists, skipping" is what running a file twice is meant to say.
    await client.query("SET client_min_messages = 'warning'")
    for (const { name, sql } of files) {
      await client.query(`BEGIN;\nSELECT pg_advisory_xact_lock(${LOCK});\n${sql}\nCOMMIT;`).catch((error: unknown) => {
        throw inFile(name, error)
      })
    }
  } catch (error) {
    throw toDatabaseError(error)
  } finally {
    await client.end().catch(() => {})
  }
}

/** Class 42 is about names and syntax in the file itself: Postgres' own words are the most useful, and hold no row's value. */
function inFile(name: string, error: unknown): DatabaseError {
  const { failure, message, code, number } = toDatabaseError(error)
  if (!isServerError(error) || !(error instanceof Error) || !error.code.startsWith('42')) {
    return new DatabaseError(failure, `${name}: ${message}`, { code, number })
  }
  return new DatabaseError('permanent', `${name}: ${error.message} (${error.code})`, { number })
}
