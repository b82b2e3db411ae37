import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type mssql from 'mssql'

const MIGRATIONS = fileURLToPath(new URL('../../../../migrations/sqlserver/', import.meta.url))

/**
 * Whether the server is Babelfish, T-SQL on Postgres: it stands in for SQL Server where the demo is checked and there is none.
 * The product does not run on it.
 */
export async function isBabelfish(clinic: mssql.ConnectionPool): Promise<boolean> {
  const { recordset } = await clinic
    .request()
    .query<{ x: string | null }>("SELECT CAST(SERVERPROPERTY('Babelfish') AS nvarchar(10)) AS x")
  return recordset[0]?.x === '1'
}

/**
 * A script without what Babelfish lacks, EXECUTE AS; and with a sequence that it does not cache for each session: SQL Server caches
 * numbers for the whole server, Babelfish would give out older ones later, which no rule about versions survives.
 */
export function fitForBabelfish(sql: string): string {
  return sql
    .replace(/(CREATE SEQUENCE [^\n]*) CACHE \d+/, '$1 CACHE 1')
    .replaceAll(/\s+WITH EXECUTE AS OWNER(?=\s+AS\b)/g, '')
}

/** The clinic's migrations, made fit. @returns the folder that holds them, within `folder`. */
export async function migrationsForBabelfish(folder: string): Promise<string> {
  const place = join(folder, 'migrations')
  await mkdir(place)
  for (const name of (await readdir(MIGRATIONS)).filter((name) => name.endsWith('.sql')))
    await writeFile(join(place, name), fitForBabelfish(await readFile(join(MIGRATIONS, name), 'utf8')))
  return place
}
