import { styleText } from 'node:util'
import { AREAS, type Area, type Check, counted, isConsequence } from './check.ts'
import type { Diagnosis } from './doctor.ts'

const HEADINGS: Readonly<Record<Area, string>> = {
  settings: 'Settings',
  clinic: 'Clinic (SQL Server)',
  portal: 'Portal (Postgres)',
  broker: 'Broker (RabbitMQ)',
  ingress: 'Ingress',
  doorbells: 'Doorbells',
}
const MARKS = { ok: ['✓', 'green'], warn: ['!', 'yellow'], fail: ['✗', 'red'] } as const

/** The diagnosis for people, line by line: by area, then what fails once more as a numbered list of what to do. */
export function report({ checks }: Diagnosis, colour: boolean): string[] {
  const paint = (style: Parameters<typeof styleText>[0], text: string) =>
    colour ? styleText(style, text, { validateStream: false }) : text
  const lines: string[] = []
  for (const area of AREAS) {
    const its = checks.filter((check) => check.area === area)
    if (its.length === 0) continue
    lines.push(paint('bold', HEADINGS[area]))
    for (const { status, title, found, todo } of its) {
      const [mark, style] = MARKS[status]
      lines.push(`  ${paint(style, mark)} ${title}: ${found}`)
      if (todo !== null) lines.push(`      → ${todo}`)
    }
    lines.push('')
  }
  return [...lines, ...summary(checks, paint)]
}

function summary(
  checks: readonly Check[],
  paint: (style: 'red' | 'green' | 'yellow', text: string) => string,
): string[] {
  const failing = checks.filter(({ status }) => status === 'fail')
  // Causes first: what follows from them is cured with them.
  const fails = [...failing.filter((check) => !isConsequence(check)), ...failing.filter(isConsequence)]
  const warnings = checks.filter(({ status }) => status === 'warn').length
  const tally = `${counted(checks.length, 'check')}, ${counted(warnings, 'warning')}`
  if (fails.length === 0) return [paint(warnings > 0 ? 'yellow' : 'green', `Nothing fails (${tally}).`)]
  return [
    paint(
      'red',
      `${counted(fails.length, 'check')} ${fails.length === 1 ? 'fails' : 'fail'} (${tally}). To do, in this order:`,
    ),
    ...fails.flatMap(({ area, found, todo }, i) => [`  ${i + 1}. ${todo ?? ''}`, `     ${area}: ${found}`]),
  ]
}
