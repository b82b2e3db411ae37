import { nowDatetime, nowDatetime2 } from '../engine/clock.ts'
import { userOf } from '../engine/permissions.ts'
import type { Work } from '../engine/work.ts'
import type { Expression } from '../sql/ast.ts'
import { compareValues, fold } from '../values/compare.ts'
import { convert } from '../values/convert.ts'
import { rescale } from '../values/decimal.ts'
import { SqlError, unsupported } from '../values/errors.ts'
import {
  BIGINT,
  commonType,
  datetime2,
  INT,
  isBinary,
  isText,
  isUnicode,
  MAX,
  NULL,
  nvarchar,
  type SqlType,
  type SqlValue,
  type,
} from '../values/types.ts'
import { dateAdd, dateDiff, datePart } from './date-functions.ts'
import { serverProperty, VERSION } from './properties.ts'
import type { Compiled, Env } from './scope.ts'

type Args = readonly Compiled[]
type Make = (args: Args, work: Work) => Compiled

const value = (t: SqlType, run: (env: Env) => SqlValue): Compiled => ({ type: t, run, column: null })
const constant = (t: SqlType, v: SqlValue): Compiled => value(t, () => v)
/** A function of non-null arguments; null if any is null. */
const strict = (t: SqlType, args: Args, run: (...values: SqlValue[]) => SqlValue): Compiled =>
  value(t, (env) => {
    const values = args.map((a) => a.run(env))
    return values.includes(null) ? null : run(...values)
  })
const asText = (arg: Compiled): Compiled => {
  if (isText(arg.type)) return arg
  const to = nvarchar(arg.type.kind === 'null' ? 1 : 4000)
  return value(to, (env) => convert(arg.run(env), arg.type, to))
}
const asInt = (arg: Compiled): Compiled => value(INT, (env) => convert(arg.run(env), arg.type, INT))
const varying = (t: SqlType, length = t.length): SqlType => type(isUnicode(t) ? 'nvarchar' : 'varchar', length)

/** A function of texts that gives a text of the first one's kind. */
const textual =
  (run: (...values: SqlValue[]) => SqlValue, length?: number): Make =>
  (args) => {
    const [first, ...rest] = args
    const text = asText(first as Compiled)
    return strict(varying(text.type, length ?? text.type.length), [text, ...rest], run)
  }

const FUNCTIONS: Readonly<Record<string, readonly [low: number, high: number, make: Make]>> = {
  LEN: [
    1,
    1,
    ([a]) =>
      strict(isMax(a) ? BIGINT : INT, [asText(a as Compiled)], (v) =>
        (isMax(a) ? BigInt : Number)((v as string).replace(/ +$/, '').length),
      ),
  ],
  DATALENGTH: [
    1,
    1,
    ([a]) =>
      strict(isMax(a) ? BIGINT : INT, [a as Compiled], (v) =>
        (isMax(a) ? BigInt : Number)(dataLength(v, (a as Compiled).type)),
      ),
  ],
  UPPER: [
    1,
    1,
    textual((v) => [...(v as string)].map((c) => (c.toUpperCase().length === c.length ? c.toUpperCase() : c)).join('')),
  ],
  LOWER: [
    1,
    1,
    textual((v) => [...(v as string)].map((c) => (c.toLowerCase().length === c.length ? c.toLowerCase() : c)).join('')),
  ],
  LTRIM: [1, 1, textual((v) => (v as string).replace(/^ +/, ''))],
  RTRIM: [1, 1, textual((v) => (v as string).replace(/ +$/, ''))],
  TRIM: [1, 1, textual((v) => (v as string).replace(/^ +| +$/g, ''))],
  REVERSE: [1, 1, textual((v) => (v as string).split('').reverse().join(''))],
  LEFT: [
    2,
    2,
    ([a, b], w) =>
      textual((v, n) => (v as string).slice(0, nonNegative(n, 'left')))([a as Compiled, asInt(b as Compiled)], w),
  ],
  RIGHT: [
    2,
    2,
    ([a, b], w) =>
      textual((v, n) => (v as string).slice(Math.max(0, (v as string).length - nonNegative(n, 'right'))))(
        [a as Compiled, asInt(b as Compiled)],
        w,
      ),
  ],
  SUBSTRING: [
    3,
    3,
    ([a, b, c], w) => {
      if (isBinary((a as Compiled).type)) throw unsupported('SUBSTRING of a binary')
      return textual((v, start, n) => {
        const from = (start as number) - 1
        return (v as string).slice(Math.max(0, from), Math.max(0, from + nonNegative(n, 'substring')))
      })([a as Compiled, asInt(b as Compiled), asInt(c as Compiled)], w)
    },
  ],
  REPLICATE: [
    2,
    2,
    ([a, b], w) => {
      const limit = isMax(a) ? MAX : isUnicode(asText(a as Compiled).type) ? 4000 : 8000
      return textual((v, n) => {
        if ((n as number) < 0) return null
        const repeated = (v as string).repeat(n as number)
        return limit === MAX ? repeated : repeated.slice(0, limit)
      }, limit)([a as Compiled, asInt(b as Compiled)], w)
    },
  ],
  SPACE: [
    1,
    1,
    ([a]) =>
      strict(type('varchar', 8000), [asInt(a as Compiled)], (n) =>
        (n as number) < 0 ? null : ' '.repeat(Math.min(8000, n as number)),
      ),
  ],
  REPLACE: [
    3,
    3,
    ([a, b, c], w) =>
      textual(
        (v, from, to) => ((from as string) === '' ? v : replaced(v as string, from as string, to as string)),
        isMax(a) ? MAX : isUnicode((a as Compiled).type) ? 4000 : 8000,
      )([a as Compiled, asText(b as Compiled), asText(c as Compiled)], w),
  ],
  CHARINDEX: [
    2,
    3,
    ([a, b, c]) =>
      strict(INT, [asText(a as Compiled), asText(b as Compiled), ...(c ? [asInt(c)] : [])], (needle, hay, start) =>
        needle === ''
          ? 0
          : (hay as string)
              .toLowerCase()
              .indexOf((needle as string).toLowerCase(), Math.max(0, ((start as number | undefined) ?? 1) - 1)) + 1,
      ),
  ],
  CONCAT: [
    2,
    254,
    (args) => {
      const texts = args.map(asText)
      const unicode = texts.some((t) => isUnicode(t.type))
      const max = texts.some((t) => t.type.length === MAX)
      const to = type(unicode ? 'nvarchar' : 'varchar', max ? MAX : unicode ? 4000 : 8000)
      return value(to, (env) => convert(texts.map((t) => t.run(env) ?? '').join(''), nvarchar(MAX), to))
    },
  ],
  NCHAR: [
    1,
    1,
    ([a]) =>
      strict(nvarchar(1), [asInt(a as Compiled)], (n) =>
        (n as number) < 0 || (n as number) > 0xffff ? null : String.fromCharCode(n as number),
      ),
  ],
  UNICODE: [
    1,
    1,
    ([a]) => strict(INT, [asText(a as Compiled)], (v) => (v === '' ? null : (v as string).charCodeAt(0))),
  ],
  ISNULL: [
    2,
    2,
    ([a, b]) => {
      const [first, second] = [a as Compiled, b as Compiled]
      const to = first.type.kind === 'null' ? second.type : first.type
      return value(to, (env) => first.run(env) ?? convert(second.run(env), second.type, to))
    },
  ],
  COALESCE: [
    2,
    254,
    (args) => {
      const to = args.reduce((t, a) => commonType(t, a.type), NULL)
      return value(to, (env) => {
        for (const arg of args) {
          const found = arg.run(env)
          if (found !== null) return convert(found, arg.type, to)
        }
        return null
      })
    },
  ],
  NULLIF: [
    2,
    2,
    ([a, b]) => {
      const [first, second] = [a as Compiled, b as Compiled]
      const common = commonType(first.type, second.type)
      return value(first.type, (env) => {
        const [x, y] = [first.run(env), second.run(env)]
        return x !== null &&
          y !== null &&
          compareValues(convert(x, first.type, common), convert(y, second.type, common)) === 0
          ? null
          : x
      })
    },
  ],
  ABS: [
    1,
    1,
    ([a]) => {
      const of = (a as Compiled).type
      const to =
        of.kind === 'bit' || of.kind === 'tinyint' || of.kind === 'smallint' || of.kind === 'null'
          ? INT
          : isText(of)
            ? type('float')
            : of
      return strict(to, [a as Compiled], (v) => {
        const n = convert(v, of, to)
        return typeof n === 'bigint' ? (n < 0n ? -n : n) : Math.abs(n as number)
      })
    },
  ],
  ROUND: [
    2,
    2,
    ([a, b]) => {
      const of = (a as Compiled).type
      if (of.kind !== 'decimal') throw unsupported('ROUND of another type than decimal')
      return strict(of, [a as Compiled, asInt(b as Compiled)], (v, n) =>
        (n as number) >= of.scale ? v : rescale(rescale(v as bigint, of.scale, n as number), n as number, of.scale),
      )
    },
  ],
  GETDATE: [0, 0, () => constant(type('datetime'), nowDatetime())],
  CURRENT_TIMESTAMP: [0, 0, () => constant(type('datetime'), nowDatetime())],
  GETUTCDATE: [0, 0, () => constant(type('datetime'), nowDatetime(Date.now()))],
  SYSDATETIME: [0, 0, () => constant(datetime2(7), nowDatetime2(7))],
  SYSUTCDATETIME: [0, 0, () => constant(datetime2(7), nowDatetime2(7, Date.now()))],
  YEAR: [1, 1, ([a]) => datePart('year', a as Compiled)],
  MONTH: [1, 1, ([a]) => datePart('month', a as Compiled)],
  DAY: [1, 1, ([a]) => datePart('day', a as Compiled)],
  SCOPE_IDENTITY: [0, 0, (_, { session }) => constant(type('decimal', 0, 38, 0), session.scopeIdentity)],
  IDENT_CURRENT: [
    1,
    1,
    ([a], { db }) =>
      strict(type('decimal', 0, 38, 0), [asText(a as Compiled)], (v) => {
        const [schema, name] = splitName(v as string)
        return BigInt(db.findTable(schema, name)?.identity ?? 0)
      }),
  ],
  DB_NAME: [0, 0, (_, { db }) => constant(nvarchar(128), db.name)],
  DB_ID: [
    0,
    1,
    ([a], { db }) =>
      a
        ? strict(type('smallint'), [asText(a)], (v) =>
            fold(v as string) === fold(db.name) ? 5 : fold(v as string) === 'master' ? 1 : null,
          )
        : constant(type('smallint'), 5),
  ],
  SUSER_SNAME: [0, 0, (_, { session }) => constant(nvarchar(128), session.login)],
  SYSTEM_USER: [0, 0, (_, { session }) => constant(nvarchar(128), session.login)],
  CURRENT_USER: [0, 0, (_, { session }) => constant(nvarchar(128), userOf(session))],
  USER_NAME: [0, 0, (_, { session }) => constant(nvarchar(128), userOf(session))],
  OBJECT_ID: [
    1,
    2,
    ([a, b], { db }) => {
      const name = asText(a as Compiled)
      const kind = b ? asText(b) : null
      return value(INT, (env) => {
        const [text, of] = [name.run(env), kind === null ? null : kind.run(env)]
        return text === null ? null : db.objectId(...splitName(text as string), of as string | null)
      })
    },
  ],
  SCHEMA_ID: [
    0,
    1,
    ([a], { db }) =>
      a
        ? strict(INT, [asText(a)], (v) =>
            fold(v as string) === 'dbo'
              ? 1
              : fold(v as string) === 'sync' && db.isInstalled('sync', 'Migrations')
                ? 5
                : null,
          )
        : constant(INT, 1),
  ],
  COL_LENGTH: [
    2,
    2,
    ([a, b], { db }) =>
      strict(type('smallint'), [asText(a as Compiled), asText(b as Compiled)], (t, c) => {
        const found = db.findTable(...splitName(t as string))
        const column = found?.columns.find((x) => fold(x.name) === fold(c as string))
        return column === undefined ? null : declaredLength(column.type)
      }),
  ],
  SERVERPROPERTY: [1, 1, ([a]) => strict(nvarchar(128), [asText(a as Compiled)], (v) => serverProperty(v as string))],
  XACT_STATE: [0, 0, (_, { session }) => constant(type('smallint'), session.transactionCount > 0 ? 1 : 0)],
  ROWCOUNT_BIG: [0, 0, (_, { session }) => constant(BIGINT, BigInt(session.rowCount))],
  ISDATE: [
    1,
    1,
    ([a]) =>
      value(INT, (env) => {
        try {
          const v = (a as Compiled).run(env)
          return v !== null && convert(v, (a as Compiled).type, type('datetime')) !== null ? 1 : 0
        } catch (error) {
          if (error instanceof SqlError && error.number < 50_000) return 0
          throw error
        }
      }),
  ],
}

function replaced(text: string, from: string, to: string): string {
  return text.replace(new RegExp(from.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'), 'gi'), () => to)
}
const isMax = (arg: Compiled | undefined) => arg !== undefined && arg.type.length === MAX
function nonNegative(n: SqlValue, name: string): number {
  if ((n as number) < 0) throw new SqlError(537, `Invalid length parameter passed to the ${name} function.`)
  return n as number
}
function declaredLength(t: SqlType): number {
  if (isUnicode(t)) return t.length === MAX ? -1 : t.length * 2
  return isText(t) || isBinary(t) ? t.length : dataLength(null, t)
}
function dataLength(v: SqlValue, t: SqlType): number {
  if (typeof v === 'string') return isUnicode(t) ? v.length * 2 : v.length
  if (Buffer.isBuffer(v)) return v.length
  const sizes: Partial<Record<SqlType['kind'], number>> = {
    bit: 1,
    tinyint: 1,
    smallint: 2,
    int: 4,
    bigint: 8,
    float: 8,
    real: 4,
    date: 3,
    datetime: 8,
  }
  if (t.kind === 'decimal') return t.precision <= 9 ? 5 : t.precision <= 19 ? 9 : t.precision <= 28 ? 13 : 17
  if (t.kind === 'datetime2') return t.scale <= 2 ? 6 : t.scale <= 4 ? 7 : 8
  return sizes[t.kind] ?? 0
}
function splitName(text: string): [schema: string, name: string] {
  const parts = text.split('.').map((part) => part.trim().replace(/^[[\x22]|[\]\x22]$/g, ''))
  return [parts.at(-2) ?? '', parts.at(-1) ?? '']
}

/** @throws SqlError 174, 195 (unknown), or a refusal. */
export function compileCall(name: string, args: Args, work: Work): Compiled {
  const found = FUNCTIONS[name]
  if (found === undefined) {
    if (/^[A-Z_]{2,}$/.test(name)) throw unsupported(`the function ${name.slice(0, 60)}`)
    throw new SqlError(195, `'${name.slice(0, 60)}' is not a recognized built-in function name.`, {
      severity: 15,
      abort: 'batch',
    })
  }
  const [low, high, make] = found
  if (args.length < low || args.length > high)
    throw new SqlError(174, `The ${name} function requires ${low} argument(s).`, { severity: 15, abort: 'batch' })
  return make(args, work)
}

export function compileDatePart(
  e: Extract<Expression, { node: 'datepart' }>,
  compile: (e: Expression) => Compiled,
): Compiled {
  const args = e.args.map(compile)
  if (e.name === 'DATEADD' && args.length === 2) return dateAdd(e.part, asInt(args[0] as Compiled), args[1] as Compiled)
  if (e.name === 'DATEDIFF' && args.length === 2) return dateDiff(e.part, args[0] as Compiled, args[1] as Compiled)
  if (e.name === 'DATEPART' && args.length === 1) return datePart(e.part, args[0] as Compiled)
  throw unsupported(e.name)
}

export { VERSION }
