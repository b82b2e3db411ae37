import { type Check, checksOf } from '../check.ts'
import { bracketed, type ClinicFacts } from './facts.ts'

const { ok, warn } = checksOf('clinic')

/** What makes the sync quicker, and what is left of the system before it. */
export function adviceChecks(facts: ClinicFacts): Check[] {
  return [...facts.all('index:').flatMap(([name, has]) => index(name, has)), ...original(facts)]
}

/** `name` such as `tblwork(PersonID)`. */
function index(name: string, has: string | null): Check[] {
  const [, table, column] = /^(.+)\((.+)\)$/.exec(name) ?? []
  if (table === undefined || column === undefined || has === null) return []
  const title = `${table} can be searched by ${column}`
  if (has === '1') return [ok(`index.${table}`, title, 'there is an index')]
  return [
    warn(
      `index.${table}`,
      title,
      'there is no index: each look reads the whole table, and waits for rows that others are writing',
      `CREATE INDEX ${bracketed(`IX_${table}_${column}`)} ON dbo.${bracketed(table)} (${bracketed(column)});`,
    ),
  ]
}

function original(facts: ClinicFacts): Check[] {
  if (facts.get('OriginalQueue') !== 'present') return []
  return [
    ok(
      'original',
      "The original system's outbox",
      'kept as dbo.SyncQueue_original; drop it when you no longer want it',
    ),
  ]
}
