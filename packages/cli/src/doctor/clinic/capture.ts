import { createHash } from 'node:crypto'
import { splitBatches } from '@clinic-sync/clinic'
import type { MigrationFile } from '../../migrate/files.ts'
import { type Check, checksOf, counted } from '../check.ts'
import { bracketed, type ClinicFacts } from './facts.ts'

const { ok, fail } = checksOf('clinic')

/** A capture trigger as this installation ships it. */
export interface ShippedTrigger {
  readonly name: string
  readonly table: string
  /** As sync.Inspect hashes a definition: SHA-256 of UTF-16LE without CR, LF, blanks and tabs. */
  readonly hash: string
}

const CREATE = /^CREATE TRIGGER dbo\.\[((?:[^\]]|\]\])+)\] ON dbo\.\[((?:[^\]]|\]\])+)\]/m

/** The capture triggers of `02_sync_capture.sql`. */
export function shippedTriggers(file: Pick<MigrationFile, 'sql'>): ShippedTrigger[] {
  return splitBatches(file.sql).flatMap(({ sql }) => {
    const [, name, table] = CREATE.exec(sql) ?? []
    return name === undefined || table === undefined ? [] : [{ name, table, hash: definitionHash(sql) }]
  })
}

/** The hash of a module's text, whatever its line ends and indents. */
export const definitionHash = (sql: string): string =>
  createHash('sha256')
    .update(Buffer.from(sql.replaceAll(/[\r\n \t]/g, ''), 'utf16le'))
    .digest('hex')

/**
 * Whether what captures the clinic's changes is there, on, and as shipped.
 *
 * @param isApplied whether the recorded file is the one here: else what is missing or older is said of the migrations alone.
 */
export function captureChecks(facts: ClinicFacts, shipped: readonly ShippedTrigger[], isApplied: boolean): Check[] {
  const checks = shipped.flatMap((trigger) => captureCheck(facts, trigger, isApplied))
  const unknown = shipped.filter(({ name }) => facts.get(`trigger:${name}`) === undefined).length
  if (checks.length > 0 || unknown > 0 || !isApplied) return checks
  return [
    ok(
      'capture',
      "The triggers that capture the clinic's changes",
      `${counted(shipped.length, 'trigger')}, all on and as shipped`,
    ),
  ]
}

function captureCheck(facts: ClinicFacts, { name, table, hash }: ShippedTrigger, isApplied: boolean): Check[] {
  const title = `Changes of ${table} are captured`
  const word = `capture.${name}`
  const state = facts.get(`trigger:${name}`)
  if (state === 'disabled')
    return [
      fail(
        word,
        title,
        `trigger ${name} is switched off: changes are not captured`,
        `ENABLE TRIGGER dbo.${bracketed(name)} ON dbo.${bracketed(table)}; then, for what was missed: npm run sync -- backfill --restart`,
      ),
    ]
  if (!isApplied) return []
  if (state === 'missing')
    return [
      fail(
        word,
        title,
        `trigger ${name} is gone, though its migration was applied`,
        'Run migrations/sqlserver/02_sync_capture.sql in SSMS; then, for what was missed: npm run sync -- backfill --restart',
      ),
    ]
  const definition = facts.get(`definition:${name}`)
  if (state !== 'enabled' || definition === null || definition === undefined || definition === hash) return []
  return [
    fail(
      word,
      title,
      `trigger ${name} is not as shipped: somebody altered it`,
      'Run migrations/sqlserver/02_sync_capture.sql in SSMS; then, for what was missed: npm run sync -- backfill --restart',
    ),
  ]
}

/** The clinic's own triggers on the synced tables: for information. */
export function otherTriggerChecks(facts: ClinicFacts): Check[] {
  const others = facts.all('otherTrigger:')
  if (others.length === 0) return []
  const names = others.map(([name, state]) => (state === 'disabled' ? `${name} (off)` : name))
  return [ok('other-triggers', "The clinic's own triggers on these tables", names.join(', '))]
}
