import { SqlError } from '../values/errors.ts'

/** A THROW of ours, as the migrations' procedures do it: it ends the batch. */
export const thrown = (number: number, message: string) => new SqlError(number, message, { abort: 'batch' })

/** The caller sent what nobody can act on. */
export const malformed = (message: string) => thrown(51_200, message)
