import { type Check, checksOf, counted } from '../check.ts'
import { bracketed, type ClinicFacts } from './facts.ts'

const { fail, ok, warn } = checksOf('clinic')

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

/** What is left of the system before this one. */
function original(facts: ClinicFacts): Check[] {
  if (facts.get('OriginalQueue') !== 'present') return []
  const title = "The original system's outbox"
  const [takeOver, others] = [facts.get('TakeOver'), Number(facts.get('SettledByOthers') ?? 0)]
  const modules = facts.all('original:').map(([name, on]) => (on ? `${name} on ${on}` : name))
  const checks: Check[] = []
  if (takeOver === 'missing')
    checks.push(
      fail(
        'original',
        title,
        'was taken over, but the two sides have not been compared: nothing is sent to the portal until then',
        'npm run sync -- take-over --dry-run, then without --dry-run (docs/moving-over.md)',
      ),
    )
  else checks.push(ok('original', title, 'kept as dbo.SyncQueue_original; drop it when you no longer want it'))
  if (others > 0)
    checks.push(
      fail(
        'original.app',
        'Only this sync settles SyncQueue',
        `${counted(others, 'row')} of SyncQueue marked Synced by something else: the original application still takes from it`,
        `Switch its sync off (docs/moving-over.md), then: ${ANEW}`,
      ),
    )
  if (modules.length > 0)
    checks.push(
      warn(
        'original.triggers',
        "The original system's triggers are gone",
        `still writing into SyncQueue: ${modules.join(', ')}; what they write is sent twice, and does no harm`,
        'DISABLE TRIGGER … ON …; for each trigger, once nobody wants the original system back (docs/moving-over.md)',
      ),
    )
  return checks
}

/** Sends what something else has marked as brought over. */
const ANEW =
  "UPDATE q SET Status = N'Pending' FROM dbo.SyncQueue q WHERE q.Status = N'Synced' AND q.EventVersion IS NULL " +
  "AND NOT EXISTS (SELECT 1 FROM dbo.SyncQueue_original o WHERE o.QueueID = q.QueueID AND o.Status = N'Synced');"
