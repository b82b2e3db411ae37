import { AMQP_RULES } from './amqp.ts'
import { DRIVER_RULES } from './drivers.ts'
import { POSTGRES_RULES } from './postgres.ts'
import { CLASS_ADVICE, type FailureRule, type Nature } from './rule.ts'
import { SQL_SERVER_RULES } from './sql-server.ts'

const NATURES: Readonly<Record<Nature, string>> = {
  passing: 'in hand first',
  doubtful: 'row or server',
  narrow: 'halved first',
  misfit: 'trigger or schema',
  freed: 'once more',
}
const CLASSES = ['transient', 'parent', 'permanent', 'down'] as const

/** The tables of docs/failures.md, in Markdown, between its two marks. */
export function failureTables(): string {
  const parts = [
    '## What the operator does\n',
    ...table(
      ['class', 'where nothing more particular is said below'],
      CLASSES.map((failure) => [failure, CLASS_ADVICE[failure]]),
    ),
    ...part('SQLSTATEs of Postgres', 'SQLSTATE', POSTGRES_RULES),
    'A state that is not listed: `transient`. One that ended the session (FATAL, PANIC): `down`, whatever it is.\n',
    ...part('Error numbers of SQL Server', 'number', SQL_SERVER_RULES),
    'A number that is not listed goes by its severity: 13 `transient`; 14, 15, and from 17 on `down`; what is left, and everything from 50000 on, `permanent`.\n',
    ...part('Codes of Node and the drivers', 'code', DRIVER_RULES),
    'A failure without an answer from the server and without a code that is listed: `down` in the portal, `transient` in the clinic.\n',
    ...part('Reply codes of AMQP, and what amqplib says', 'code', AMQP_RULES),
  ]
  return parts.join('\n')
}

function part(title: string, head: string, rules: readonly FailureRule[]): string[] {
  const ordered = rules.toSorted((a, b) => CLASSES.indexOf(a.failure) - CLASSES.indexOf(b.failure))
  const rows = ordered.map(({ code, failure, words, nature, advice }) => [
    `\`${code}\``,
    failure,
    nature ? NATURES[nature] : '',
    words,
    advice ?? '',
  ])
  return [`\n## ${title}\n`, ...table([head, 'class', 'first', 'what happened', 'what the operator does'], rows)]
}

const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
const table = (head: readonly string[], rows: readonly (readonly string[])[]): string[] => [
  line(head),
  line(head.map(() => '---')),
  ...rows.map(line),
  '',
]
