import type { Key, Row, Version } from '@clinic-sync/contracts'
import {
  type Bookkeeping,
  type Comparable,
  type Connections,
  DatabaseError,
  type RecordName,
  storable,
} from '@clinic-sync/sync'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from './pool.ts'

/** A row that is about to be overwritten or deleted, and what the clinic has instead. */
export interface KeptRow extends RecordName {
  readonly row: Row
  readonly base: Row | null
}

/** A row that is sent as an edit. `base`: the shared columns that the clinic is taken to have had; null: they are not known. */
export interface SentRow extends RecordName {
  readonly base: Row | null
}

/** What after-restore does in the portal; it needs the login that installs. */
export interface Restorable {
  /** Moves the queue ids above `seen`, the highest version of the portal's that the clinic has had. */
  moveQueueIds(seen: Version): Promise<void>
  /**
   * Doctors' notes get their keys from below `lowest`, and those of `others` get such a key now, and are sent as new.
   *
   * @returns how many
   */
  moveNoteKeys(lowest: Key, others: readonly Key[]): Promise<number>
  /** Sends anew the edits that the clinic would take for old ones. @returns how many */
  resumeAfterRestore(seen: Version): Promise<number>
  /** Puts rows on record in sync.lost_edits. @returns how many were not there yet */
  keepRows(rows: readonly KeptRow[], why: string): Promise<number>
  /** Sends rows as edits, which the clinic merges with what it has. @returns how many are still there */
  sendRows(rows: readonly SentRow[]): Promise<number>
  /** Of records that are not there: forgets a delete in flight of which nothing is on its way. For verify's repair. Of none: rejects where this login may not. @returns how many */
  forgetDeletes(records: readonly RecordName[]): Promise<number>
}

const PORTION = 500
/** Somebody's transaction that holds a row is waited for so long. Milliseconds. */
const PATIENCE_MS = 30_000

export const comparable = (database: Database, connections: Connections): Comparable => ({
  connections: () => connections.counts,

  async bookkeeping(records, newest): Promise<Bookkeeping> {
    const asked = JSON.stringify(records.map(({ table, key }) => ({ table, key })))
    const [row] = await database.query('SELECT sync.bookkeeping($1, $2) AS found', [asked, newest])
    return JSON.parse(row?.found ?? 'null') as Bookkeeping
  },

  async hold(why) {
    await database.query('SELECT sync.hold_clinic_changes($1)', [why])
  },
})

export const restorable = (database: Database): Restorable => ({
  async moveQueueIds(seen) {
    await database.query('SELECT sync.move_queue_ids($1)', [seen])
  },

  moveNoteKeys: (lowest, others) =>
    unlessHeld(async () => {
      const [row] = await database.query('SELECT sync.move_note_keys($1, $2) AS moved', [lowest, others])
      return Number(row?.moved)
    }),

  async resumeAfterRestore(seen) {
    const [row] = await database.query('SELECT sync.resume_after_restore($1) AS sent', [seen])
    return Number(row?.sent)
  },

  async keepRows(rows, why) {
    let kept = 0
    for (let i = 0; i < rows.length; i += PORTION) {
      const [row] = await database.query('SELECT sync.keep_rows($1, $2) AS kept', [
        asJsonb(rows.slice(i, i + PORTION)),
        why,
      ])
      kept += Number(row?.kept)
    }
    return kept
  },

  async forgetDeletes(records) {
    const asked = JSON.stringify(records.map(({ table, key }) => ({ table, key })))
    const [row] = await database.query('SELECT sync.forget_deletes($1) AS forgotten', [asked])
    return Number(row?.forgotten)
  },

  async sendRows(rows) {
    let sent = 0
    for (let i = 0; i < rows.length; i += PORTION)
      sent += await unlessHeld(() => sendPortion(database, rows.slice(i, i + PORTION)))
    return sent
  },
})

/** The portal's side gives way: it fails at once where somebody's transaction holds a row, and is tried again. */
async function unlessHeld<T>(work: () => Promise<T>): Promise<T> {
  const began = performance.now()
  for (;;) {
    try {
      return await work()
    } catch (error) {
      const isHeld = error instanceof DatabaseError && ['55P03', '40P01'].includes(error.number ?? '')
      if (!isHeld || performance.now() - began > PATIENCE_MS) throw error
      await sleep(100)
    }
  }
}

/** A jsonb takes no U+0000 and no half a character, and the clinic's texts may hold either. */
const asJsonb = (value: unknown): string =>
  JSON.stringify(value, (_, part: unknown) => (typeof part === 'string' ? storable(part) : part))

async function sendPortion(database: Database, rows: readonly SentRow[]): Promise<number> {
  const [row] = await database.query('SELECT sync.send_rows($1) AS sent', [asJsonb(rows)])
  return Number(row?.sent)
}
