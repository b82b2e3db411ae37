import { counted, explainCause, isOver, type JudgedLetter } from '@clinic-sync/operations'

/** The letters, grouped by direction and cause, the largest group first. @param limit letters shown of a group */
export function listLines(letters: readonly JudgedLetter[], limit: number): string[] {
  if (letters.length === 0) return ['No dead letters.']
  const over = letters.filter(isOver).length
  const head =
    over === 0
      ? `${counted(letters.length, 'dead letter')}.`
      : `${counted(letters.length, 'dead letter')}; ${areOver(over, letters.length)}, ` +
        'since the change or a later one has arrived: `npm run sync -- dead-letters discard --superseded --why "…"` removes them.'
  const groups = new Map<string, JudgedLetter[]>()
  for (const each of letters) {
    const name = `${each.direction ?? 'unknown direction'}  ${each.letter.errorCode}`
    groups.set(name, [...(groups.get(name) ?? []), each])
  }
  const sorted = [...groups].toSorted(([, a], [, b]) => b.length - a.length)
  return [head, ...sorted.flatMap(([name, group]) => groupLines(name, group, limit))]
}

function areOver(over: number, of: number): string {
  if (of === 1) return 'it is over'
  if (over === of) return 'all of them are over'
  return `${over.toLocaleString('en')} of them ${over === 1 ? 'is' : 'are'} over`
}

function groupLines(name: string, group: readonly JudgedLetter[], limit: number): string[] {
  const [first] = group
  if (first === undefined) return []
  const { words, advice } = explainCause(first)
  const rows = group.slice(0, limit).map((each) => cells(each))
  const widths = HEAD.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)))
  const line = (row: readonly string[]) =>
    `  ${row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd()}`
  const more = group.length - rows.length
  return [
    '',
    `${name}  ${counted(group.length, 'letter')}`,
    ...(words === '' ? [] : [`  What: ${words}.`]),
    `  To do: ${advice}`,
    line(HEAD),
    ...rows.map(line),
    ...(more > 0 ? [`  … and ${more.toLocaleString('en')} more (--limit ${group.length}, or --json)`] : []),
  ]
}

const HEAD = ['ID', 'RECORD', 'VERSION', 'TRIED', 'FAILED AT', 'STATE', 'MESSAGE']

function cells({ letter, standing, supersededBy }: JudgedLetter): string[] {
  const { id, about, attempts, failedAt, errorMessage } = letter
  const state = standing === 'superseded' ? `superseded by ${supersededBy}` : standing
  return [
    id,
    about === null ? '?' : `${about.table}/${about.key}`,
    about?.version ?? '?',
    String(attempts),
    failedAt?.slice(0, 19).replace('T', ' ') ?? '?',
    state,
    errorMessage.length > 90 ? `${errorMessage.slice(0, 89)}…` : errorMessage,
  ]
}
