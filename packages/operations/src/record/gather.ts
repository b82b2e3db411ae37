import type { Direction, IngressPart, Key, QueuesPart, Reachable, Row, Side, Unreachable } from '@clinic-sync/contracts'
import { sourceOf } from '@clinic-sync/contracts'
import type { TableName } from '@clinic-sync/mapping'
import { DatabaseError, type Operable, type Recorded, type RecordHistory, SyncError } from '@clinic-sync/sync'
import { judge, type JudgedLetter } from '../dead-letters/letter.ts'
import type { Readable } from '../rows.ts'
import { answered, PATIENCE_MS, queuesPart, type StatusSources } from '../status/gather.ts'
import { lettersIn } from '../status/queues.ts'

/** A side that is asked about one record. */
export type RecordSide = Recorded & Readable & Pick<Operable, 'recordVersions'>

/** Whom a record's story is asked of: each may reject, or not answer, and the rest is told all the same. */
export interface RecordPorts extends Pick<StatusSources, 'queueDepths' | 'deadLetters' | 'ingress'> {
  readonly clinic: RecordSide
  readonly portal: RecordSide
}

export interface SideFacts {
  readonly reachable: true
  readonly history: RecordHistory
  /** The synced row; null: there is none, or it is not known. */
  readonly row: Row | null
  /** Somebody's open transaction holds the row, so that it could not be read. */
  readonly locked: boolean
}
type Letters = { readonly reachable: true; readonly letters: readonly JudgedLetter[] }

/** All that is known of one record, part by part. */
export interface RecordFacts {
  readonly table: TableName
  readonly key: Key
  /** By the clock of who asks. */
  readonly at: string
  readonly clinic: SideFacts | Unreachable
  readonly portal: SideFacts | Unreachable
  readonly queues: QueuesPart
  /** Those about this record. */
  readonly letters: Letters | Unreachable
  readonly ingress: IngressPart
}

/** Outbox rows and rulings that are asked for, of each side. */
const LISTED = 50
const LOWEST_KEY = -(2 ** 31)
/** SQL Server: somebody's lock was waited for long enough. */
const LOCK_TIMED_OUT = '1222'

/** Asks everybody at once. Never rejects. @param patienceMs for each part */
export async function gatherRecord(
  ports: RecordPorts,
  table: TableName,
  key: Key,
  patienceMs = PATIENCE_MS,
): Promise<RecordFacts> {
  const ask = <T extends { readonly reachable: true }>(what: () => Promise<T>) => answered(what, patienceMs)
  const [clinic, portal, queues, ingress] = await Promise.all([
    ask(() => sideFacts(ports.clinic, table, key)),
    ask(() => sideFacts(ports.portal, table, key)),
    ask(async () => queuesPart(await ports.queueDepths())),
    ask(() => ports.ingress()),
  ])
  const letters = queues.reachable ? await ask(() => lettersOf(ports, table, key, { clinic, portal, queues })) : queues
  return { table, key, at: new Date().toISOString(), clinic, portal, queues, letters, ingress }
}

/** The history first: it says whether the row can be read without waiting for somebody. */
async function sideFacts(side: RecordSide, table: TableName, key: Key): Promise<SideFacts> {
  const history = await side.recordHistory(table, key, LISTED)
  const known = { reachable: true, history, row: null } as const
  if (history.presence !== 'synced') return { ...known, locked: history.presence === null }
  try {
    const [found] = await side.readRows(table, key === LOWEST_KEY ? null : key - 1, 1)
    return { ...known, row: found?.key === key ? found.row : null, locked: false }
  } catch (error) {
    if (error instanceof DatabaseError && error.number === LOCK_TIMED_OUT) return { ...known, locked: true }
    throw error
  }
}

async function lettersOf(
  ports: RecordPorts,
  table: TableName,
  key: Key,
  {
    clinic,
    portal,
    queues,
  }: { clinic: RecordFacts['clinic']; portal: RecordFacts['portal']; queues: Reachable<QueuesPart> },
): Promise<Letters> {
  const failed = [clinic, portal].reduce((sum, side) => sum + (side.reachable ? failedRows(side.history) : 0), 0)
  // Letters that somebody has in hand are not counted: where a row has failed, it is looked all the same.
  const there = Math.max(lettersIn(queues), failed === 0 ? 0 : 1)
  const letters = await ports.deadLetters(there, failed)
  const about = letters.filter(({ about: of }) => of?.table === table && of.key === key)
  const judged = await judge(about, async (direction: Direction, records) => {
    try {
      return await ports[sourceOf(direction)].recordVersions(records)
    } catch (error) {
      if (error instanceof SyncError) return error
      throw error
    }
  })
  return { reachable: true, letters: judged.letters }
}

const failedRows = ({ outbox }: RecordHistory) => outbox.filter(({ status }) => status === 'Failed').length

export const SIDES: readonly Side[] = ['clinic', 'portal']
