import type { Reported, Results } from '../results.ts'
import { numeral } from './numeral.ts'

const HEAD = ['figure', 'unit', 'median', 'min – max', 'n', 'target', 'reached']
/** Columns of numbers, right-aligned. */
const NUMBERS = new Set([2, 3, 4, 5])

/** A row of the table, and of the one in Markdown. */
export function cellsOf({ name, unit, median, min, max, n, target }: Reported): string[] {
  return [
    name,
    unit,
    numeral(median),
    n === 1 ? '' : `${numeral(min)} – ${numeral(max)}`,
    String(n),
    target?.text ?? '',
    target === null ? '' : target.reached ? 'yes' : 'no',
  ]
}

/** For a terminal. */
export function tableFor({ figures, ratios }: Pick<Results, 'figures' | 'ratios'>): string[] {
  const rows = [HEAD, ...[...figures, ...ratios].map(cellsOf)]
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map((row) =>
    row
      .map((cell, column) =>
        NUMBERS.has(column) ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  )
}

/** For a document. */
export function markdownFor(rows: readonly Reported[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  const rule = HEAD.map((_, column) => (NUMBERS.has(column) ? '---:' : '---'))
  return [line(HEAD), line(rule), ...rows.map((row) => line(cellsOf(row)))].join('\n')
}
