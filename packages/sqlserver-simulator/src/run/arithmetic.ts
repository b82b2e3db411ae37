import { overflow, SqlError, unsupported } from '../values/errors.ts'
import { fits, power10, rescale } from '../values/decimal.ts'
import { convert } from '../values/convert.ts'
import {
  asDecimal,
  BIGINT,
  commonType,
  decimal,
  INT,
  isBinary,
  isText,
  isTime,
  MAX,
  nameOf,
  type SqlType,
  type SqlValue,
  type,
  precedence,
} from '../values/types.ts'

export type Operator = '+' | '-' | '*' | '/' | '%'
type Binary = { readonly type: SqlType; readonly run: (a: SqlValue, b: SqlValue) => SqlValue }

const byZero = () => new SqlError(8134, 'Divide by zero error encountered.')

/** The type of `left operator right`, and how to compute it from non-null values of the operands' types. */
export function arithmetic(operator: Operator, left: SqlType, right: SqlType): Binary {
  if (isText(left) || isText(right)) {
    if (operator === '+' && (isText(left) || left.kind === 'null') && (isText(right) || right.kind === 'null'))
      return concatenation(left, right)
    if (isText(left) && isText(right))
      throw new SqlError(
        402,
        `The data types ${left.kind} and ${right.kind} are incompatible in the ${operator} operator.`,
        { abort: 'batch' },
      )
  }
  if (isTime(left) || isTime(right)) throw unsupported('arithmetic with dates: use DATEADD and DATEDIFF')
  if (isBinary(left) || isBinary(right)) throw unsupported('arithmetic with binaries')
  // A text beside a number becomes that number's type; NULL becomes int.
  const a = isText(left) ? right : left.kind === 'null' ? (right.kind === 'null' ? INT : right) : left
  const b = isText(right) ? left : right.kind === 'null' ? a : right
  const high = precedence(a) >= precedence(b) ? a : b
  if (high.kind === 'float' || high.kind === 'real')
    return prepared(left, right, type('float'), type('float'), type('float'), (x, y) =>
      floating(operator, x as number, y as number),
    )
  if (high.kind === 'decimal') return decimals(operator, left, right, asDecimal(a), asDecimal(b))
  const result = high.kind === 'bit' ? INT : high
  return prepared(left, right, result, result, result, (x, y) => integers(operator, x, y, result))
}

function prepared(
  left: SqlType,
  right: SqlType,
  toLeft: SqlType,
  toRight: SqlType,
  result: SqlType,
  run: (a: SqlValue, b: SqlValue) => SqlValue,
): Binary {
  return { type: result, run: (a, b) => run(convert(a, left, toLeft), convert(b, right, toRight)) }
}

function concatenation(left: SqlType, right: SqlType): Binary {
  const joined = commonType(left, right)
  const [a, b] = [left.kind === 'null' ? right : left, right.kind === 'null' ? left : right]
  const limit = joined.kind === 'nvarchar' || joined.kind === 'nchar' ? 4000 : 8000
  const length = a.length === MAX || b.length === MAX ? MAX : Math.min(limit, a.length + b.length)
  const kind = joined.kind === 'nchar' || joined.kind === 'nvarchar' ? 'nvarchar' : 'varchar'
  const result = type(kind, length)
  return {
    type: result,
    run: (x, y) =>
      convert(`${convert(x, left, type(kind, MAX))}${convert(y, right, type(kind, MAX))}`, type(kind, MAX), result),
  }
}

function floating(operator: Operator, a: number, b: number): number {
  if (operator === '%')
    throw new SqlError(402, 'The data types float and float are incompatible in the modulo operator.', {
      abort: 'batch',
    })
  if (operator === '/' && b === 0) throw byZero()
  const result = operator === '+' ? a + b : operator === '-' ? a - b : operator === '*' ? a * b : a / b
  if (!Number.isFinite(result)) throw overflow('float')
  return result
}

function integers(operator: Operator, a: SqlValue, b: SqlValue, result: SqlType): SqlValue {
  const [x, y] = [BigInt(a as number), BigInt(b as number)]
  if ((operator === '/' || operator === '%') && y === 0n) throw byZero()
  const value =
    operator === '+' ? x + y : operator === '-' ? x - y : operator === '*' ? x * y : operator === '/' ? x / y : x % y
  try {
    return convert(value, BIGINT, result)
  } catch {
    throw overflow(nameOf(result))
  }
}

/** Precision and scale as documented under "Precision, scale, and length (Transact-SQL)". */
function decimals(operator: Operator, left: SqlType, right: SqlType, a: SqlType, b: SqlType): Binary {
  const [p1, s1, p2, s2] = [a.precision, a.scale, b.precision, b.scale]
  let scale: number
  let precision: number
  if (operator === '*') [precision, scale] = [p1 + p2 + 1, s1 + s2]
  else if (operator === '/') {
    scale = Math.max(6, s1 + p2 + 1)
    precision = p1 - s1 + s2 + scale
  } else {
    scale = Math.max(s1, s2)
    precision = operator === '%' ? Math.min(p1 - s1, p2 - s2) + scale : Math.max(p1 - s1, p2 - s2) + scale + 1
  }
  if (precision > 38) {
    const whole = precision - scale
    if (operator === '*' || operator === '/') scale = Math.max(Math.min(scale, 38 - whole), Math.min(scale, 6))
    else scale = Math.max(0, Math.min(scale, 38 - whole))
    precision = 38
  }
  const result = decimal(precision, scale)
  return prepared(left, right, a, b, result, (x, y) => {
    const [u, v] = [x as bigint, y as bigint]
    let value: bigint
    if (operator === '*') value = rescale(u * v, s1 + s2, scale)
    else if (operator === '/') {
      if (v === 0n) throw byZero()
      // One digit more than wanted, then cut: SQL Server truncates quotients.
      value = (u * power10(scale + s2)) / (v * power10(s1))
    } else {
      const common = Math.max(s1, s2)
      const [m, n] = [u * power10(common - s1), v * power10(common - s2)]
      if (operator === '%' && n === 0n) throw byZero()
      value = rescale(operator === '+' ? m + n : operator === '-' ? m - n : m % n, common, scale)
    }
    if (!fits(value, precision)) throw overflow('numeric')
    return value
  })
}
