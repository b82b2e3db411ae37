import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const FOLDER = fileURLToPath(new URL('../../../../migrations/sqlserver/', import.meta.url))
/** What the migrations make: unknown until then. */
const CREATES = /\bCREATE\s+(?:TABLE|PROC(?:EDURE)?|TRIGGER|SEQUENCE)\s+\[?(sync|dbo)\]?\s*\.\s*\[?(\w+)\]?/gi

export interface MigrationFile {
  readonly name: string
  readonly checksum: string
  /** The doorbell that it is for, as its header says; null: it is for all. */
  readonly doorbell: string | null
  readonly batches: readonly string[]
  readonly creates: readonly (readonly [schema: string, name: string])[]
  readonly createsRole: boolean
}

/** What an operator fills in before running by-hand/service_login.sql. */
const PASSWORD = /(?<=^DECLARE @Password nvarchar\(128\) = N')((?:[^']|'')*)(?='$)/m

/** A batch as it is compared: line ends, the blanks around it and a password that was filled in do not count. */
export const normal = (text: string) => text.replace(/\r\n/g, '\n').replace(PASSWORD, '').trim()

/** The password that was filled in; null: none. */
export const passwordIn = (text: string): string | null => PASSWORD.exec(text)?.[1]?.replaceAll("''", "'") || null

/** The objects that a text creates. */
export const createdBy = (text: string) =>
  [...text.matchAll(CREATES)].map((m) => [m[1] as string, m[2] as string] as const)

/** The shipped migrations, in their order; in an image of a service there are none. */
export const readMigrations = (): MigrationFile[] => readFolder(FOLDER)

/** The scripts that an operator runs by hand. */
export const readByHand = (): MigrationFile[] => readFolder(`${FOLDER}by-hand/`)

function readFolder(folder: string): MigrationFile[] {
  if (!existsSync(folder)) return []
  const names = readdirSync(folder)
    .filter((name) => name.endsWith('.sql'))
    .sort()
  return names.map((name) => {
    const text = readFileSync(`${folder}${name}`, 'utf8').replace(/\r\n/g, '\n')
    return {
      name,
      checksum: createHash('sha256').update(text).digest('hex'),
      doorbell: /^-- Doorbell: (\S+)/m.exec(text)?.[1] ?? null,
      batches: text
        .split(/^[ \t]*GO(?:[ \t]+\d+)?[ \t]*$/im)
        .map(normal)
        .filter((batch) => batch !== ''),
      creates: createdBy(text),
      createsRole: /\bCREATE\s+ROLE\s+clinic_sync\b/i.test(text),
    }
  })
}
