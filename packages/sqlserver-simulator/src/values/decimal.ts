const POWERS = Array.from({ length: 78 }, (_, n) => 10n ** BigInt(n))
export const power10 = (n: number): bigint => POWERS[n] ?? 10n ** BigInt(n)

/** Changes the scale, rounding half away from zero, as SQL Server does. */
export function rescale(value: bigint, from: number, to: number): bigint {
  if (to >= from) return value * power10(to - from)
  const divisor = power10(from - to)
  const half = divisor / 2n
  return value >= 0n ? (value + half) / divisor : (value - half) / divisor
}

/** Whether an unscaled value has at most `precision` digits. */
export const fits = (value: bigint, precision: number): boolean => {
  const limit = power10(precision)
  return value < limit && value > -limit
}

export function formatDecimal(value: bigint, scale: number): string {
  const digits = (value < 0n ? -value : value).toString().padStart(scale + 1, '0')
  const sign = value < 0n ? '-' : ''
  return scale === 0 ? sign + digits : `${sign}${digits.slice(0, -scale)}.${digits.slice(-scale)}`
}

/** Reads digits with an optional sign and point; null if the text is something else. */
export function parseDecimal(text: string): { value: bigint; scale: number } | null {
  const match = /^\s*([+-]?)\s*(\d*)(?:\.(\d*))?\s*$/.exec(text)
  if (!match || `${match[2]}${match[3] ?? ''}` === '') return null
  const fraction = match[3] ?? ''
  const value = BigInt(`${match[2]}${fraction}`)
  return { value: match[1] === '-' ? -value : value, scale: fraction.length }
}

/** The exact value of a double's shortest decimal form, as `scale` digits; SQL Server converts from 17 digits likewise. */
export function fromDouble(value: number, scale: number): bigint {
  const [mantissa = '0', exponent = '0'] = value.toExponential().split('e')
  const read = parseDecimal(mantissa) ?? { value: 0n, scale: 0 }
  const from = read.scale - Number(exponent)
  return from >= 0 ? rescale(read.value, from, scale) : read.value * power10(-from + scale)
}

export const toDouble = (value: bigint, scale: number): number => Number(formatDecimal(value, scale))
