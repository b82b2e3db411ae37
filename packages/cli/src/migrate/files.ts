import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { Side } from '@clinic-sync/contracts'
import { GENERATED_HEADER } from '@clinic-sync/mapping'

export interface MigrationFile {
  /** File name, such as `02_capture.sql`: how it is recorded in the database. */
  readonly name: string
  /** Path to show to people, relative to the repository's root. */
  readonly path: string
  readonly sql: string
  /** SHA-256, in hex, of the file with LF line ends: a checkout on Windows has the same. */
  readonly checksum: string
  /** Written by `npm run generate`: replaces what it made before, so a changed one is applied again. */
  readonly generated: boolean
}

const FOLDERS: Readonly<Record<Side, string>> = { clinic: 'migrations/sqlserver', portal: 'migrations/postgres' }

/** The repository's root: three levels up from `src/migrate` as from `dist/migrate`. */
const ROOT = new URL('../../../../', import.meta.url)

/**
 * A side's migration files in the order of their names.
 *
 * @param folder reads them from there instead (tests).
 */
export async function migrationFiles(side: Side, folder?: string): Promise<MigrationFile[]> {
  const place = folder ?? fileURLToPath(new URL(FOLDERS[side], ROOT))
  const names = (await readdir(place)).filter((name) => name.endsWith('.sql')).sort()
  return Promise.all(
    names.map(async (name) => {
      const sql = (await readFile(`${place}/${name}`, 'utf8')).replaceAll('\r\n', '\n')
      return {
        name,
        path: `${FOLDERS[side]}/${name}`,
        sql,
        checksum: checksumOf(sql),
        generated: sql.startsWith(GENERATED_HEADER),
      }
    }),
  )
}

/** SHA-256 in hex of a file's text. */
export function checksumOf(sql: string): string {
  return createHash('sha256').update(sql.replaceAll('\r\n', '\n')).digest('hex')
}

/** The 1-based line on which the character at `offset` (0-based) stands. */
export function lineAt(text: string, offset: number): number {
  return text.slice(0, offset).split('\n').length
}
