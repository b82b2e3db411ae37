import { isTableName } from '@clinic-sync/mapping'

/** A label's values must be few and hold nothing of a message: what is not known to be ours is `other`. */
const OTHER = 'other'

export const tableLabel = (table: string): string => (isTableName(table) ? table : OTHER)

const TYPES: ReadonlySet<string> = new Set([
  'transient',
  'parent',
  'permanent',
  'down',
  'bad-message',
  'unexpected',
  'delivery-limit',
])
export const typeLabel = (type: string): string => (TYPES.has(type) ? type : OTHER)

/** SQLSTATEs, SQL Server's error numbers, our own codes, classes of errors. */
const CODE = /^(?:[0-9A-Z]{5}|\d{1,6}|SYNC_[A-Z_]{1,40}|[A-Z][A-Za-z]{0,40}Error)$/
/** So many kinds of failure do not happen; each is a time series that Prometheus keeps. */
const MOST_CODES = 100

/** Makes a label of a failure's code; the codes seen first keep their names. */
export function codeLabels(): (code: string) => string {
  const seen = new Set<string>()
  return (code) => {
    if (!CODE.test(code) || (!seen.has(code) && seen.size >= MOST_CODES)) return OTHER
    seen.add(code)
    return code
  }
}
