import pg from 'pg'

export interface Migration {
  readonly name: string
  readonly sql: string
}

/** Any number, as long as every installer uses the same: two at once would collide in `CREATE SCHEMA IF NOT EXISTS`. */
const LOCK = 4_711_002

/** Runs migration files as `npm run sync -- migrate` does, without its records: each whole, in a transaction of its own. */
export async function runMigration(url: string, ...files: readonly Migration[]): Promise<void> {
  const client = new pg.Client({ connectionString: url, statement_timeout: 600_000 })
  client.on('error', () => {})
  try {
    await client.connect()
    // "… already exists, skipping" is what running a file twice is meant to say.
    await client.query("SET client_min_messages = 'warning'")
    for (const { sql } of files) {
      await client.query(`BEGIN;\nSELECT pg_advisory_xact_lock(${LOCK});\n${sql}\nCOMMIT;`)
    }
  } finally {
    await client.end().catch(() => {})
  }
}
