import type { Session } from '../engine/session.ts'
import type { Result } from '../engine/work.ts'
import type { Sink } from '../run/execute.ts'
import type { SqlError } from '../values/errors.ts'
import type { SqlType, SqlValue } from '../values/types.ts'
import {
  DONE,
  DONE_IN_PROC,
  DONE_PROC,
  type TransactionChange,
  writeColumns,
  writeDone,
  writeError,
  writeInfo,
  writeReset,
  writeReturnStatus,
  writeReturnValue,
  writeRow,
  writeTransactionChange,
} from './tokens.ts'
import { Writer } from './writer.ts'

/** The answer to one request, put together as its statements run. */
export class Response {
  readonly w = new Writer()
  /** A DONE that waits: whether more follows is known only afterwards. */
  #pending: { count: number | null; error: boolean } | null = null
  #inProcedure = false

  #flush(more: boolean): void {
    if (this.#pending === null) return
    const { count, error } = this.#pending
    this.#pending = null
    writeDone(this.w, this.#inProcedure ? DONE_IN_PROC : DONE, { count, error, more: more || this.#inProcedure })
  }

  sink(session: Session, inProcedure: boolean): Sink {
    this.#inProcedure = inProcedure
    return {
      result: (result) => this.#result(result, session.noCount),
      error: (error) => this.#error(error),
      info: (message) => this.#info(message),
    }
  }

  #result({ columns, rows, count, message }: Result, noCount: boolean): void {
    if (message !== undefined) this.#info(message)
    // NOCOUNT leaves out the message of a statement without rows.
    if (columns === null && (noCount || count === null)) return
    this.#flush(true)
    if (columns !== null) {
      writeColumns(this.w, columns)
      for (const row of rows) writeRow(this.w, columns, row)
    }
    this.#pending = { count: noCount ? null : count, error: false }
  }
  #info(message: string): void {
    this.#flush(true)
    writeInfo(this.w, message)
  }
  #error(error: SqlError): void {
    this.#flush(true)
    writeError(this.w, error)
    this.#pending = { count: null, error: true }
  }

  transaction(change: TransactionChange, descriptor: bigint): void {
    this.#flush(true)
    writeTransactionChange(this.w, change, descriptor)
  }
  reset(): void {
    writeReset(this.w)
  }
  returnValue(ordinal: number, name: string, type: SqlType, value: SqlValue): void {
    this.#flush(true)
    writeReturnValue(this.w, ordinal, name, type, value)
  }

  endBatch(): void {
    this.#pending ??= { count: null, error: false }
    this.#flush(false)
  }
  endProcedure(outputs: readonly { name: string; type: SqlType; value: SqlValue }[]): void {
    this.#inProcedure = true
    this.#flush(true)
    writeReturnStatus(this.w, 0)
    for (const [i, output] of outputs.entries()) writeReturnValue(this.w, i, output.name, output.type, output.value)
    writeDone(this.w, DONE_PROC)
  }
  /** The request ends with an error. */
  failed(error: SqlError, procedure: boolean): void {
    this.#flush(true)
    writeError(this.w, error)
    writeDone(this.w, procedure ? DONE_PROC : DONE, { error: true })
  }
  /** The request was cancelled: what it has given so far, and no more. */
  cancelled(): void {
    this.#inProcedure = false
    this.endBatch()
  }
}
