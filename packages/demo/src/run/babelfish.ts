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
 * The clinic's migrations without what Babelfish lacks, EXECUTE AS; and with a sequence that it does not cache for each
 * session, which would give out older numbers later.
 *
 * @returns the folder that holds them.
 */
export async function migrationsForBabelfish(folder: string): Promise<string> {
  const place = join(folder, 'migrations')
  await mkdir(place)
  for (const name of (await readdir(MIGRATIONS)).filter((name) => name.endsWith('.sql'))) {
    const sql = await readFile(join(MIGRATIONS, name), 'utf8')
    const fit = sql
      .replace(/(CREATE SEQUENCE [^\n]*) CACHE \d+/, '$1 CACHE 1')
      .replaceAll(/\s+WITH EXECUTE AS OWNER(?=\s+AS\b)/g, '')
    await writeFile(join(place, name), fit)
  }
  return place
}
