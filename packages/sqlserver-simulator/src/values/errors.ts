/**
 * An error in SQL Server's manner.
 *
 * `number` as in sys.messages. `abort`: what it ends. `statement`: that statement (and, under XACT_ABORT, all);
 * `batch`: the batch and the open transaction, as conversion errors and deadlocks do.
 */
export class SqlError extends Error {
  readonly number: number
  readonly severity: number
  readonly abort: 'statement' | 'batch'
  line = 1
  constructor(number: number, message: string, options: { severity?: number; abort?: 'statement' | 'batch' } = {}) {
    super(message)
    this.name = 'SqlError'
    this.number = number
    this.severity = options.severity ?? 16
    this.abort = options.abort ?? 'statement'
  }
}

/** The number of every refusal: in the range that SQL Server leaves to users, so no real message is mistaken for it. */
export const UNSUPPORTED = 50_501

/** Something that SQL Server has and the simulator has not. Never guessed at. */
export const unsupported = (what: string) =>
  new SqlError(UNSUPPORTED, `the simulator does not support ${what}`, { abort: 'batch' })

export const syntaxError = (near: string) =>
  new SqlError(102, `Incorrect syntax near '${near}'.`, { severity: 15, abort: 'batch' })

/** Arithmetic overflow. */
export const overflow = (type: string) =>
  new SqlError(8115, `Arithmetic overflow error converting expression to data type ${type}.`)
