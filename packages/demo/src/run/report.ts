import type { TableComparison } from '../compare.ts'
import type { EditResult } from '../live/edit.ts'
import { type Screen, shown } from '../screen.ts'

/** One edit: what was sent, and what the portal shows now. Returns whether it arrived. */
export function reportEdit(screen: Screen, { edit, before, now, latency }: EditResult): boolean {
  screen.line(`\n  ${screen.strong(edit.title)}`)
  for (const statement of edit.statements) screen.line(`    ${screen.faint('clinic')}  ${statement}`)
  const took = latency === undefined ? screen.bad('did not arrive') : screen.good(`${latency.toFixed(0)} ms`)
  screen.line(`    ${screen.faint('portal')}  ${edit.where}: ${shown(before)} → ${screen.strong(shown(now))}  ${took}`)
  return latency !== undefined
}

/** The latencies at a glance. */
export function reportLatencies(screen: Screen, results: readonly EditResult[]): void {
  const latencies = results.flatMap(({ latency }) => (latency === undefined ? [] : [latency])).sort((a, b) => a - b)
  const median = latencies[Math.floor(latencies.length / 2)] ?? Number.NaN
  screen.line(
    `\n  ${results.length} live edits, ${latencies.length} arrived: median ${median.toFixed(0)} ms, slowest ${(latencies.at(-1) ?? Number.NaN).toFixed(0)} ms`,
  )
}

/** Rows and values compared, and every difference by name. Returns the number of differences. */
export function reportComparison(screen: Screen, comparisons: readonly TableComparison[]): number {
  const cell = (text: string | number, width: number) => text.toLocaleString('en').padStart(width)
  screen.line(
    `  ${'table'.padEnd(22)}${cell('clinic', 8)}${cell('portal', 8)}${cell('values', 9)}${cell('different', 11)}`,
  )
  let differences = 0
  for (const { table, clinicRows, portalRows, values, differences: found } of comparisons) {
    differences += found.length
    const count = found.length === 0 ? screen.good(cell(0, 11)) : screen.bad(cell(found.length, 11))
    screen.line(`  ${table.padEnd(22)}${cell(clinicRows, 8)}${cell(portalRows, 8)}${cell(values, 9)}${count}`)
  }
  for (const difference of comparisons.flatMap((comparison) => comparison.differences).slice(0, 20)) {
    const columns = difference.kind === 'different' ? `: ${difference.columns.join(', ')}` : ''
    screen.line(`  ${screen.bad(`${difference.table}/${difference.key} ${difference.kind}${columns}`)}`)
  }
  const rows = comparisons.reduce((sum, comparison) => sum + comparison.clinicRows, 0)
  const values = comparisons.reduce((sum, comparison) => sum + comparison.values, 0)
  screen.line(
    `\n  ${rows.toLocaleString('en')} rows, ${values.toLocaleString('en')} values compared: ${differences === 0 ? screen.good('no difference') : screen.bad(`${differences} differences`)}`,
  )
  return differences
}
