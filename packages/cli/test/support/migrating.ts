import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openScriptConnection } from '@clinic-sync/clinic'
import type { Test } from 'tap'
import { migrate, type MigrateOptions } from '../../src/migrate/index.ts'
import { type OwnClinic, ownClinic } from './own-clinic.ts'

const MIGRATIONS = fileURLToPath(new URL('../../../../migrations/sqlserver', import.meta.url))

/**
 * A clinic of its own without the sync, and a folder with a copy of the migrations that may be spoilt.
 *
 * @param only just these of them.
 */
export async function freshClinic(t: Test, options: { only?: readonly string[]; clinic?: OwnClinic } = {}) {
  const clinic = options.clinic ?? (await ownClinic(t))
  const folder = await mkdtemp(join(tmpdir(), 'clinic-sync-migrate-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const files = (await readdir(MIGRATIONS))
    .filter((name) => name.endsWith('.sql') && (options.only?.includes(name) ?? true))
    .sort()
  for (const name of files) {
    await cp(join(MIGRATIONS, name), join(folder, name))
    if (clinic.babelfish) await strip(join(folder, name))
  }
  const lines: string[] = []
  /** Runs a batch there; gives the rows of its first result set. */
  const query = async (sql: string) => {
    const connection = openScriptConnection(clinic.url)
    return connection.batch(sql).finally(() => connection.close())
  }
  return {
    ...clinic,
    folder,
    files,
    lines,
    query,
    run: (more: Partial<MigrateOptions> = {}) =>
      migrate({ side: 'clinic', url: clinic.url, folder, onLine: (line) => lines.push(line), ...more }),
    write: (name: string, sql: string) => writeFile(join(folder, name), sql),
    recorded: async () => (await query('SELECT Name FROM sync.Migrations')).map((row) => row.Name).sort(),
  }
}

/** Babelfish has no EXECUTE AS. */
async function strip(file: string): Promise<void> {
  const sql = await readFile(file, 'utf8')
  await writeFile(file, sql.replaceAll(/\s+WITH EXECUTE AS OWNER(?=\s+AS\b)/g, ''))
}
