import type { Database, Trigger } from '../engine/database.ts'
import type { Table } from '../engine/table.ts'
import { nowDatetime2 } from '../engine/clock.ts'
import { Transaction } from '../engine/transaction.ts'
import { DOORBELLS } from '../sync/doorbells.ts'
import { SET_ASIDE } from '../sync/original.ts'
import { takeOver } from './take-over.ts'
import { createdBy, type MigrationFile, normal, passwordIn, readByHand, readMigrations } from './migration-files.ts'

const [DEFAULT_DOORBELL] = DOORBELLS
/** A Windows SQL Server 2022 has no sp_invoke_external_rest_endpoint. */
const CANNOT = 'rest-endpoint'

/** The triggers that a batch makes. */
const triggersIn = (batch: string) =>
  /\bCREATE\s+TRIGGER\b/i.test(batch) ? createdBy(batch).map(([, name]) => name) : []

/**
 * The shipped migrations. Their T-SQL is never run: what they make is here natively, and is hidden until the last batch of
 * the file that makes it has been sent.
 */
export class Migrations {
  readonly #db: Database
  readonly #settings: Table
  readonly #triggers: readonly Trigger[]
  readonly #files = readMigrations()
  readonly #known = new Set<string>()
  /** Per file, the batches that have not come yet. */
  readonly #left = new Map<MigrationFile, Set<string>>()

  #original: boolean

  /**
   * `migrated`: all is there that such an engine can have, and the default doorbell is switched on. `original`, where it is not: the
   * original system's SyncQueue is there.
   */
  constructor(db: Database, migrated: boolean, original = false) {
    this.#db = db
    this.#original = original && !migrated
    db.hide('dbo', SET_ASIDE)
    this.#settings = db.table('sync', 'Settings')
    this.#triggers = db.triggers
    for (const file of [...this.#files, ...readByHand()]) {
      for (const batch of file.batches) this.#known.add(batch)
      this.#left.set(file, new Set(file.batches))
    }
    const tx = new Transaction(0)
    if (migrated) {
      for (const { name, doorbell } of this.#files) if (doorbell !== CANNOT) db.applied.add(name)
      this.#settings.insert(tx, ['Doorbell', DEFAULT_DOORBELL.name])
      this.#record(
        tx,
        this.#files.filter(({ doorbell }) => doorbell !== CANNOT),
      )
    }
    tx.commit()
    for (const { batches } of this.#files)
      for (const batch of batches) for (const name of triggersIn(batch)) this.#remake(name, batch)
    for (const { trigger } of DOORBELLS) this.#remake(trigger, null)
    if (!migrated) {
      this.#hideAll()
      if (this.#original) db.install('dbo', 'SyncQueue')
      return
    }
    const missing = DOORBELLS.filter(({ name }) => name === CANNOT)
    for (const { trigger, procedure } of missing) {
      db.hide('dbo', trigger)
      db.hide('sync', procedure)
    }
  }

  /** Whether a batch is one of the migrations'. */
  knows(text: string): boolean {
    return this.#known.has(normal(text))
  }

  /** Counts one of the migrations' batches as applied. */
  accept(text: string): void {
    const batch = normal(text)
    for (const [file, left] of this.#left) {
      if (left.size === 0 || !left.delete(batch) || left.size > 0) continue
      for (const [schema, name] of file.creates) this.#db.install(schema, name)
      if (file.createsRole) this.#db.hasRole = true
      this.#db.applied.add(file.name)
      if (this.#original && file.creates.some(([, name]) => name === 'SyncQueue')) {
        takeOver(this.#db)
        this.#original = false
      }
    }
    for (const name of triggersIn(batch)) this.#remake(name, batch)
    this.#db.servicePassword = passwordIn(text) ?? this.#db.servicePassword
  }

  /** A trigger that is made anew is enabled; a doorbell's only if it is the one that is switched on. */
  #remake(name: string, text: string | null): void {
    if (text !== null) this.#db.definitions.set(name, text)
    const doorbell = DOORBELLS.find(({ trigger }) => trigger === name)
    const chosen = this.#settings.get(this.#settings.keyFor(['Doorbell']))
    const isChosen = chosen !== undefined && !chosen.deleted && chosen.values[1] === doorbell?.name
    const trigger = this.#triggers.find((each) => each.name === name)
    const tx = new Transaction(0)
    if (trigger !== undefined) this.#db.enableTrigger(tx, trigger, doorbell === undefined || isChosen)
    tx.commit()
  }

  #record(tx: Transaction, files: readonly MigrationFile[]): void {
    const table = this.#db.table('sync', 'Migrations')
    for (const file of files) table.insert(tx, [file.name, file.checksum, nowDatetime2(3)])
  }

  #hideAll(): void {
    for (const table of this.#db.tables) {
      const { schema, name } = table.definition
      if (schema === 'sync' || name === 'SyncQueue') this.#db.hide(schema, name)
    }
    for (const { name, table } of this.#db.triggers)
      if (name.startsWith('trg_sync_') || name.startsWith('trg_SyncQueue_'))
        this.#db.hide(table.definition.schema, name)
    for (const name of this.#db.procedureNames('sync')) this.#db.hide('sync', name)
    this.#db.hide('dbo', 'sp_NotifyAppOfSync')
    this.#db.hasRole = false
  }
}
