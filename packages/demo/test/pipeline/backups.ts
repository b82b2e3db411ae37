import type { Simulator } from '@clinic-sync/sqlserver-simulator'
import pg from 'pg'
import type { Test } from 'tap'

/** A backup, and how to go back to it while everybody is at work. */
export interface Backup {
  restore(): Promise<void>
}

export const backUpClinic = (simulator: Simulator): Backup => {
  const backup = simulator.backUp()
  return { restore: () => simulator.restore(backup) }
}

/** A copy of the portal's database; a restore puts a copy of that in its place, under its name. Both end all connections. */
export async function backUpPortal(t: Test, url: string): Promise<Backup> {
  const name = new URL(url).pathname.slice(1)
  const copy = `${name}_b${Math.random().toString(36).slice(2, 8)}`
  const server = new URL(url)
  server.pathname = '/postgres'
  const run = async (...statements: string[]) => {
    const client = new pg.Client({ connectionString: server.href })
    await client.connect()
    try {
      for (const statement of statements) await client.query(statement)
    } finally {
      await client.end()
    }
  }
  const alone = [
    `ALTER DATABASE ${name} WITH ALLOW_CONNECTIONS false`,
    `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '${name}'`,
  ]
  await run(...alone, `CREATE DATABASE ${copy} TEMPLATE ${name}`, `ALTER DATABASE ${name} WITH ALLOW_CONNECTIONS true`)
  t.teardown(() => run(`DROP DATABASE IF EXISTS ${copy} WITH (FORCE)`))
  return {
    restore: () => run(...alone, `DROP DATABASE ${name} WITH (FORCE)`, `CREATE DATABASE ${name} TEMPLATE ${copy}`),
  }
}
