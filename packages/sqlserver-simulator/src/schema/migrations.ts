import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Database } from '../engine/database.ts'
import { nowDatetime2 } from '../engine/clock.ts'
import { Transaction } from '../engine/transaction.ts'
import { DOORBELLS } from '../sync/doorbells.ts'

const FOLDER = fileURLToPath(new URL('../../../../migrations/sqlserver/', import.meta.url))
/** Objects of the schema sync and the outbox: unknown until a migration makes them. */
const CREATES = /\bCREATE\s+(?:TABLE|PROC(?:EDURE)?|TRIGGER|SEQUENCE)\s+\[?(sync|dbo)\]?\s*\.\s*\[?(\w+)\]?/gi

interface MigrationFile {
  readonly name: string
  readonly checksum: string
  readonly batches: readonly string[]
  readonly creates: readonly (readonly [schema: string, name: string])[]
}

const [DEFAULT_DOORBELL] = DOORBELLS
const isDoorbell = (trigger: string) => DOORBELLS.some((each) => each.trigger === trigger)

const normal = (text: string) => text.replace(/\r\n/g, '\n').trim()

function readFiles(): MigrationFile[] {
  if (!existsSync(FOLDER)) return []
  const names = readdirSync(FOLDER)
    .filter((name) => name.endsWith('.sql'))
    .sort()
  return names.map((name) => {
    const text = readFileSync(`${FOLDER}${name}`, 'utf8').replace(/\r\n/g, '\n')
    return {
      name,
      checksum: createHash('sha256').update(text).digest('hex'),
      batches: text
        .split(/^[ \t]*GO(?:[ \t]+\d+)?[ \t]*$/im)
        .map(normal)
        .filter((batch) => batch !== ''),
      creates: [...text.matchAll(CREATES)].map((m) => [m[1] as string, m[2] as string] as const),
    }
  })
}

/**
 * The shipped migrations. Their T-SQL is never run: what they make is here natively, and is hidden until the last batch of
 * the file that makes it has been sent.
 */
export class Migrations {
  readonly #db: Database
  readonly #files = readFiles()
  readonly #known = new Set<string>()
  /** Per file, the batches that have not come yet. */
  readonly #left = new Map<MigrationFile, Set<string>>()

  constructor(db: Database, migrated: boolean) {
    this.#db = db
    for (const file of this.#files) {
      for (const batch of file.batches) this.#known.add(batch)
      this.#left.set(file, new Set(file.batches))
    }
    const tx = new Transaction(0)
    for (const trigger of db.triggers)
      if (isDoorbell(trigger.name)) db.enableTrigger(tx, trigger, migrated && trigger.name === DEFAULT_DOORBELL.trigger)
    if (migrated) {
      db.table('sync', 'Settings').insert(tx, ['Doorbell', DEFAULT_DOORBELL.name])
      this.#recordAll(tx)
    }
    tx.commit()
    if (!migrated) this.#hideAll()
  }

  /** Whether a batch is one of the migrations'; then it counts as applied. */
  accept(text: string): boolean {
    const batch = normal(text)
    if (!this.#known.has(batch)) return false
    for (const [file, left] of this.#left) {
      left.delete(batch)
      if (left.size === 0) for (const [schema, name] of file.creates) this.#db.install(schema, name)
    }
    // What no file names in plain words (a native helper) is there when all are.
    if ([...this.#left].every(([file, left]) => left.size === 0 || file.creates.length === 0)) this.#db.installAll()
    return true
  }

  #recordAll(tx: Transaction): void {
    const table = this.#db.table('sync', 'Migrations')
    for (const file of this.#files) table.insert(tx, [file.name, file.checksum, nowDatetime2(3)])
  }

  #hideAll(): void {
    for (const table of this.#db.tables) {
      const { schema, name } = table.definition
      if (schema === 'sync' || name === 'SyncQueue') this.#db.hide(schema, name)
    }
    for (const trigger of this.#db.triggers)
      if (trigger.name.startsWith('trg_sync_') || isDoorbell(trigger.name)) this.#db.hide('dbo', trigger.name)
    for (const name of this.#db.procedureNames('sync')) this.#db.hide('sync', name)
  }
}
