import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { Side } from '@clinic-sync/contracts'
import { GENERATED_HEADER } from '@clinic-sync/mapping'
import { SyncError } from '@clinic-sync/sync'

/** The clinic's doorbells that have a file of their own. */
const DOORBELL_FILES = ['service-broker', 'ole-automation', 'rest-endpoint'] as const
export type DoorbellFile = (typeof DOORBELL_FILES)[number]

export interface MigrationFile {
  /** File name, such as `02_capture.sql`: how it is recorded in the database. */
  readonly name: string
  /** Path to show to people, relative to the repository's root. */
  readonly path: string
  readonly sql: string
  /** SHA-256, in hex, of the file with LF line ends and no byte order mark: an editor on Windows leaves it as it is. */
  readonly checksum: string
  /** Written by `npm run generate`: replaces what it made before, so a changed one is applied again. */
  readonly generated: boolean
  /** The doorbell that it is for, and nothing else: `-- Doorbell: X` among the comments that it begins with. */
  readonly doorbell: DoorbellFile | null
}

const FOLDERS: Readonly<Record<Side, string>> = { clinic: 'migrations/sqlserver', portal: 'migrations/postgres' }

/** The repository's root: three levels up from `src/migrate` as from `dist/migrate`. */
const ROOT = new URL('../../../../', import.meta.url)

/**
 * A side's migration files in the order of their names.
 *
 * @param folder reads them from there instead (tests).
 * @throws SyncError SYNC_MIGRATION_FAILED if one is for a doorbell that there is not.
 */
export async function migrationFiles(side: Side, folder?: string): Promise<MigrationFile[]> {
  const place = folder ?? fileURLToPath(new URL(FOLDERS[side], ROOT))
  const names = (await readdir(place)).filter((name) => name.endsWith('.sql')).sort()
  return Promise.all(
    names.map(async (name) => {
      const path = `${FOLDERS[side]}/${name}`
      const sql = normal(await readFile(`${place}/${name}`, 'utf8'))
      return {
        name,
        path,
        sql,
        checksum: checksumOf(sql),
        generated: sql.startsWith(GENERATED_HEADER),
        doorbell: doorbellOf(sql, path),
      }
    }),
  )
}

/** SHA-256 in hex of a file's text. */
function checksumOf(sql: string): string {
  return createHash('sha256').update(normal(sql)).digest('hex')
}

/** SSMS saves with a byte order mark, a checkout on Windows has CRLF; neither is an edit, and neither is T-SQL. */
const normal = (sql: string) => sql.replace(/^\uFEFF/, '').replaceAll('\r\n', '\n')

function doorbellOf(sql: string, path: string): DoorbellFile | null {
  const header = /^(?:[ \t]*(?:--.*)?\n)*/.exec(sql)?.[0] ?? ''
  const named = /^[ \t]*--[ \t]*Doorbell:[ \t]*(\S+)/m.exec(header)?.[1]
  if (named === undefined) return null
  const known = DOORBELL_FILES.find((doorbell) => doorbell === named)
  if (known === undefined)
    throw new SyncError(
      'SYNC_MIGRATION_FAILED',
      `${path} is for a doorbell named ${JSON.stringify(named)}; there are ${DOORBELL_FILES.join(', ')}.`,
    )
  return known
}

/** The 1-based line on which the character at `offset` (0-based) stands. */
export function lineAt(text: string, offset: number): number {
  return text.slice(0, offset).split('\n').length
}
