/** A number for people, with as many digits as its size deserves: `12,345`, `123`, `12.3`, `1.23`, `0.012`. */
export function numeral(value: number): string {
  const size = Math.abs(value)
  if (size === 0) return '0'
  if (size < 0.0005) return '< 0.001'
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 0.1 ? 2 : 3
  const text = value.toLocaleString('en-US', { minimumFractionDigits: 0, maximumFractionDigits: digits })
  return text.replace(/^-/, '−')
}
