import {
  type BoxedLetter,
  contentOf,
  type DeadLetterBox,
  openDeadLetterBox,
  type OpenedLetter,
} from '@clinic-sync/broker'
import { openClinic } from '@clinic-sync/clinic'
import { directionFrom, type Side } from '@clinic-sync/contracts'
import { isTableName, tableNamed, type TableName } from '@clinic-sync/mapping'
import { bounded, type Declared, directionOfLetter, type Shape, shapesOf, spread } from '@clinic-sync/operations'
import { openPortal } from '@clinic-sync/portal'
import { createLogger, type Settings } from '@clinic-sync/runtime'
import { type KeyedRow, type SyncDatabase, SyncError } from '@clinic-sync/sync'
import { askPortal } from '../doctor/portal/facts.ts'
import { json, type Missing, needed, type Part, reasonOf, type Sources } from './part.ts'
import { type OpenRow, openRows } from './outbox-rows.ts'

/** Dead letters, and records of each outbox, whose shapes are told. */
const SHAPED = 100
/** Bodies in the memory at a time. */
const PORTION = 20
/** For one record, milliseconds; and how many may take longer. */
const RECORD_MS = 3_000
const MAX_FAILURES = 3
const SIDES = ['clinic', 'portal'] as const
const other = (side: Side): Side => (side === 'clinic' ? 'portal' : 'clinic')

/** How the portal's columns are declared, table by table: they may differ from the mapping's. */
type DeclaredTables = ReadonlyMap<string, Declared>

/** What is stuck: rows of the outboxes and dead letters, and what their records are like, without a value. */
export const stuckPart: Part = {
  what: 'outboxes.json and stuck.json',
  patienceMs: 60_000,
  async collect(sources) {
    const { environment } = sources
    const missing: Missing[] = []
    const [declared, ...outboxes] = await Promise.all([
      declaredIn(sources).catch(() => new Map<string, Declared>()),
      ...SIDES.map((side) => bounded(`The ${side}'s outbox`, () => openRows(side, environment), 25_000)),
    ])
    const rows = outboxes.flatMap((found, i) => {
      if ('facts' in found) return found.facts
      missing.push({ what: `rows of the ${SIDES[i]}'s outbox`, why: reasonOf(found.error) })
      return []
    })
    const letters = await lettersOf(sources, declared, missing)
    const records = await recordsOf(sources, rows, declared, missing)
    return {
      entries: [
        {
          path: 'outboxes.json',
          about: `rows of both outboxes that are not done, the oldest of each cause first, at most 50 of each status: keys, codes and reasons in our words`,
          text: json({
            clinic: rows.filter(({ side }) => side === 'clinic'),
            portal: rows.filter(({ side }) => side === 'portal'),
          }),
        },
        {
          path: 'stuck.json',
          about: `of at most ${SHAPED} dead letters and of each outbox's rows what their columns are like: type, length, kinds of characters, digits, limits; no value`,
          text: json({ deadLetters: letters, records }),
        },
      ],
      missing,
    }
  },
}

async function declaredIn({ settings }: Sources): Promise<DeclaredTables> {
  const found = await bounded('Postgres', () => askPortal({ ...settings, ...needed(settings, 'POSTGRES_URL') }))
  const tables = new Map<string, Map<string, string>>()
  if ('facts' in found)
    for (const { table, name, type } of found.facts.columns)
      tables.set(table, (tables.get(table) ?? new Map<string, string>()).set(name, type))
  return tables
}

/** Dead letters in hand for a moment; all are back in their queues then, in their order. */
async function lettersOf(
  { settings, signal }: Sources,
  declared: DeclaredTables,
  missing: Missing[],
): Promise<object[]> {
  let box: DeadLetterBox | undefined
  try {
    box = await openDeadLetterBox({ url: needed(settings, 'RABBITMQ_URL').RABBITMQ_URL, name: 'support bundle' })
    if (box.letters.length > SHAPED)
      missing.push({
        what: `${box.letters.length - SHAPED} more dead letters`,
        why: `${SHAPED} are told, some of each cause; status.json counts all.`,
      })
    const chosen = spread(box.letters, ({ queue, errorCode }) => `${queue} ${errorCode}`, SHAPED)
    const shaped: object[] = []
    for (let at = 0; at < chosen.length && !signal.aborted; at += PORTION)
      for (const opened of await box.take(chosen.slice(at, at + PORTION))) shaped.push(ofLetter(opened, declared))
    return shaped
  } catch (error) {
    missing.push({ what: 'the dead letters', why: reasonOf(error) })
    return []
  } finally {
    await box?.close()
  }
}

function ofLetter(opened: OpenedLetter, declared: DeclaredTables): object {
  const facts = { ...headersOf(opened.letter), bytes: opened.letter.bytes }
  try {
    const content = contentOf(opened)
    if (!('event' in content)) return { ...facts, content: 'outcomes' }
    const { source, type, data } = content.event
    const target = other(source)
    if (!isTableName(data.table)) return { ...facts, content: 'of none of the synced tables' }
    const table = tableNamed(data.table)
    const limits = target === 'portal' ? declared.get(data.table) : undefined
    const shapes = data.row === null ? null : shapesOf(table, data.row, target, limits)
    return { ...facts, direction: directionFrom(source), type, columns: shapes }
  } catch (error) {
    // It names fields, never values.
    return { ...facts, content: error instanceof SyncError ? error.message : 'it cannot be read' }
  }
}

/** Who put it there may have written anything into the headers of one that is not ours. */
function headersOf(letter: BoxedLetter): object {
  const { id, annotated, about, errorType, errorCode, errorMessage, attempts, replays, failedAt, supersededBy, queue } =
    letter
  const isCode = /^\w{1,64}$/.test(errorCode)
  return {
    id,
    record: about !== null && isTableName(about.table) ? `${about.table}/${about.key}` : null,
    version: about?.version ?? null,
    direction: directionOfLetter(letter),
    queue,
    errorType,
    code: isCode ? errorCode : 'other',
    reason: annotated && isCode ? errorMessage : null,
    attempts,
    replays,
    failedAt: failedAt !== null && /^[\d:.TZ-]{10,30}$/.test(failedAt) ? failedAt : null,
    supersededBy,
  }
}

/** The records of open outbox rows as their own side has them now, each once. */
async function recordsOf(
  { settings }: Sources,
  rows: readonly OpenRow[],
  declared: DeclaredTables,
  missing: Missing[],
): Promise<object[]> {
  const all = await Promise.all(
    SIDES.map(async (side) => {
      const own = unique(rows.filter((row) => row.side === side && isTableName(row.table)))
      if (own.length === 0) return []
      // What was read stays, whatever then holds the others up.
      const found: object[] = []
      const ended = await bounded(
        `The ${side}'s database`,
        () => readRecords(side, own, settings, declared, (record) => found.push(record)),
        15_000,
      )
      if ('error' in ended)
        missing.push({
          what: `${own.length - found.length} of ${own.length} records of the ${side}'s outbox`,
          why: reasonOf(ended.error),
        })
      return [...found]
    }),
  )
  return all.flat()
}

const unique = (rows: readonly OpenRow[]): OpenRow[] => [
  ...new Map(rows.map((row) => [`${row.table}/${row.key}`, row])).values(),
]

async function readRecords(
  side: Side,
  rows: readonly OpenRow[],
  settings: Partial<Settings>,
  declared: DeclaredTables,
  tell: (record: object) => void,
): Promise<void> {
  const database = await open(side, settings)
  const target = other(side)
  let failures = 0
  try {
    for (const { table: name, key, status, code } of rows) {
      if (!isTableName(name)) continue
      const read = await bounded('The database', () => database.readRows(name, key - 1, 1), RECORD_MS)
      // One may be held by somebody's open transaction; a database that is away holds all.
      if ('error' in read && ++failures === MAX_FAILURES) throw read.error
      tell({
        side,
        record: `${name}/${key}`,
        direction: directionFrom(side),
        status,
        code,
        columns: 'error' in read ? reasonOf(read.error) : columnsOf(name, key, read.facts[0], target, declared),
      })
    }
  } finally {
    database.close().catch(() => undefined)
  }
}

function columnsOf(
  name: TableName,
  key: number,
  next: KeyedRow | undefined,
  target: Side,
  declared: DeclaredTables,
): Shape[] | string {
  if (next?.key !== key) return 'gone, or not synced'
  return shapesOf(tableNamed(name), next.row, target, target === 'portal' ? declared.get(name) : undefined)
}

async function open(side: Side, settings: Partial<Settings>): Promise<Pick<SyncDatabase, 'readRows' | 'close'>> {
  const log = createLogger({ name: 'support-bundle', level: 'silent' })
  if (side === 'portal') return openPortal({ url: needed(settings, 'POSTGRES_URL').POSTGRES_URL, log })
  const { SQLSERVER_URL: url, CLINIC_TIME_ZONE: timeZone } = needed(settings, 'SQLSERVER_URL', 'CLINIC_TIME_ZONE')
  return openClinic({ url, timeZone, log })
}
