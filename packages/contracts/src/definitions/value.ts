import Type, { type Static } from 'typebox'

/** Beyond these JSON.parse rounds: such a number was corrupted before it came here. */
const SafeInteger = Type.Integer({ minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER })

/**
 * One column's value on the wire. Whatever JSON would round or lose travels as a string: bigint and decimal
 * as their digits, a date as `YYYY-MM-DD`, an instant as ISO 8601 in UTC with milliseconds.
 */
export const Value = Type.Union([Type.Null(), Type.Boolean(), SafeInteger, Type.String()])
export type Value = Static<typeof Value>

/** A row: the mapping's column names (the portal's) and their values. */
export const Row = Type.Record(Type.String({ minLength: 1, maxLength: 128 }), Value)
export type Row = Static<typeof Row>

/** A queue id or version: a bigint's digits, since JSON numbers end at 2^53. */
export const Version = Type.String({ pattern: '^(0|[1-9][0-9]{0,18})$' })
export type Version = Static<typeof Version>

/** A record's key. Every synced table has one integer key; notes born in the portal count down from -1. */
export const Key = Type.Integer({ minimum: -2147483648, maximum: 2147483647 })
export type Key = Static<typeof Key>

export const Side = Type.Union([Type.Literal('clinic'), Type.Literal('portal')])
/** Which database: `clinic` is the SQL Server, `portal` the Postgres. */
export type Side = Static<typeof Side>

export const Direction = Type.Union([Type.Literal('sql-to-postgres'), Type.Literal('postgres-to-sql')])
/** Which way an event travels; also the name of the consumer that applies it. */
export type Direction = Static<typeof Direction>
