import { VERSION } from '../run/properties.ts'
import type { Compiled } from '../run/scope.ts'
import { SqlError, unsupported } from '../values/errors.ts'
import { decimal, INT, nvarchar, type SqlType, type SqlValue } from '../values/types.ts'
import type { Database } from './database.ts'
import type { Table } from './table.ts'
import { Transaction } from './transaction.ts'

export interface Variable {
  readonly type: SqlType
  value: SqlValue
}

let latest = 50

/** What lasts between a connection's requests. */
export class Session {
  readonly id = ++latest
  readonly db: Database
  readonly login: string
  transaction: Transaction | null = null
  transactionCount = 0
  variables = new Map<string, Variable>()
  isolation = 'READ COMMITTED'
  noCount = false
  xactAbort = false
  lockTimeout = -1
  priority = 0
  identityInsert: Table | null = null
  scopeIdentity: bigint | null = null
  lastIdentity: bigint | null = null
  rowCount = 0
  error = 0
  /** Until then, ms since 1970, the doorbell's HTTP call is left out. */
  quietUntil = 0
  /** When it rang the doorbell for the session that waits, ms since 1970. */
  rangOn = 0
  /** Sends a message at once, ahead of the answer that is being worked on: RAISERROR … WITH NOWAIT. */
  say: (message: string) => void = () => {}
  /** Told when a transaction begins or ends, for the driver's sake. */
  onTransaction: ((what: 'begin' | 'commit' | 'rollback') => void) | null = null

  constructor(db: Database, login: string) {
    this.db = db
    this.login = login
  }

  /** As a connection's first use: options as they were, nothing open. */
  reset(): void {
    this.rollback()
    this.variables = new Map()
    this.isolation = 'READ COMMITTED'
    this.noCount = false
    this.xactAbort = false
    this.lockTimeout = -1
    this.priority = 0
    this.identityInsert = null
    this.scopeIdentity = null
    this.lastIdentity = null
    this.quietUntil = 0
  }

  /** An IDENTITY was taken by the session's own statement. */
  inserted(identity: bigint): void {
    this.scopeIdentity = identity
    this.lastIdentity = identity
  }
  /** …or by a trigger: only @@IDENTITY sees it. */
  insertedByTrigger(identity: bigint): void {
    this.lastIdentity = identity
  }

  newTransaction(): Transaction {
    const tx = new Transaction(this.id)
    tx.priority = this.priority
    return tx
  }
  begin(): void {
    this.transactionCount++
    if (this.transaction !== null) return
    this.transaction = this.newTransaction()
    this.onTransaction?.('begin')
  }
  /** @throws SqlError 3902 */
  commit(): void {
    if (this.transaction === null)
      throw new SqlError(3902, 'The COMMIT TRANSACTION request has no corresponding BEGIN TRANSACTION.')
    if (--this.transactionCount > 0) return
    const tx = this.transaction
    this.transaction = null
    tx.commit()
    this.onTransaction?.('commit')
  }
  rollback(): void {
    const tx = this.transaction
    this.transaction = null
    this.transactionCount = 0
    if (tx === null) return
    tx.rollback()
    this.onTransaction?.('rollback')
  }
  /** @throws SqlError 3903, 6401 */
  rollbackTo(savepoint: string | null): void {
    if (this.transaction === null)
      throw new SqlError(3903, 'The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION.')
    if (savepoint === null || !this.transaction.backTo(savepoint)) this.rollback()
  }
  save(name: string): void {
    if (this.transaction === null)
      throw new SqlError(628, 'Cannot issue SAVE TRANSACTION when there is no active transaction.')
    this.transaction.save(name)
  }

  /** `@@name`. @throws a refusal */
  globalVariable(name: string): Compiled {
    const is = (type: SqlType, value: SqlValue): Compiled => ({ type, column: null, run: () => value })
    switch (name) {
      case '@@trancount':
        return is(INT, this.transactionCount)
      case '@@rowcount':
        return is(INT, this.rowCount)
      case '@@error':
        return is(INT, this.error)
      case '@@identity':
        return is(decimal(38, 0), this.lastIdentity)
      case '@@version':
        return is(nvarchar(300), VERSION)
      case '@@spid':
        return is({ ...INT, kind: 'smallint' }, this.id)
      case '@@servername':
        return is(nvarchar(128), 'SIMULATOR')
      case '@@lock_timeout':
        return is(INT, this.lockTimeout)
      case '@@options':
        return is(INT, 5496)
      case '@@datefirst':
        return is({ ...INT, kind: 'tinyint' }, 7)
      case '@@language':
        return is(nvarchar(128), 'us_english')
      case '@@max_precision':
        return is({ ...INT, kind: 'tinyint' }, 38)
      default:
        throw unsupported(`${name.slice(0, 60)}`)
    }
  }
}
