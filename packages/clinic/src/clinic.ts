import type { Key } from '@clinic-sync/contracts'
import { type TableName, tableNamed, tables } from '@clinic-sync/mapping'
import {
  type BackfillPage,
  type Comparable,
  Connections,
  type Doorbell,
  type KeyedRow,
  type OpenTransactions,
  type Patience,
  PATIENCE,
  type Operable,
  type Recorded,
  type Ringer,
  type SyncDatabase,
  SyncError,
  type Verifiable,
  type Traceable,
} from '@clinic-sync/sync'
import sql from './driver.ts'
import type { Logger } from 'pino'
import { applyChanges, checkApply } from './apply.ts'
import { traceable } from './canary.ts'
import { openAwaiting } from './open-transactions.ts'
import { operating } from './operating.ts'
import { openPool } from './pool.ts'
import { rowFrom } from './values.ts'
import { recorded } from './records.ts'
import { otherVersion } from './taken.ts'
import { taking } from './taking.ts'
import { rehearse } from './rehearse.ts'
import { comparable, restorable, type Restorable } from './restoring.ts'
import { ringDoorbell } from './ring.ts'
import { verifiable } from './verifying.ts'
import { openWaiting } from './waiting.ts'
import { openZone, type Zone } from './zone.ts'

/** The highest key there can be: an int's. */
const HIGHEST = 2_147_483_647

export interface ClinicOptions {
  /** `mssql://user:password@host:port/database?encrypt=true&trustServerCertificate=false` */
  readonly url: string
  /** IANA zone of the clinic's wall clock, such as `Asia/Baghdad`. */
  readonly timeZone: string
  readonly log: Logger
  /** How long a silent server is borne with. */
  readonly patience?: Patience
}

/** A row of the outbox that is not settled yet. */
export interface OpenRow {
  readonly queueId: string
  /** It has failed before, and is on its way again. */
  readonly retrying: boolean
}

/** The clinic's database. */
export interface Clinic
  extends
    SyncDatabase,
    Doorbell,
    Ringer,
    OpenTransactions,
    Operable,
    Comparable,
    Restorable,
    Recorded,
    Traceable,
    Verifiable {
  readonly side: 'clinic'
  /**
   * Queues the next `max` synced rows of `table` and moves the stored watermark, in one transaction, so that an
   * interrupted backfill goes on where it was. `restart` begins the table anew.
   */
  backfillPage(table: TableName, max: number, restart: boolean): Promise<BackfillPage>
  /** What of the outbox is not settled: the backfill asks at its end, and after a silence. */
  openRows(): Promise<readonly OpenRow[]>
  /** What the doctor command shows: `sync.Inspect`, name → what was found; null: it could not be seen. */
  inspect(): Promise<ReadonlyMap<string, string | null>>
}

/**
 * Opens the clinic's side. It connects at the first use, not before; every method rejects with a DatabaseError.
 *
 * @throws SyncError SYNC_CONFIG for a URL or zone that cannot be used.
 */
export async function openClinic({ url, timeZone, log, patience = PATIENCE }: ClinicOptions): Promise<Clinic> {
  const zone = zoneNamed(timeZone)
  const connections = new Connections()
  const pool = openPool({
    url,
    log,
    patience,
    maxConnections: 4,
    requestTimeout: patience.statementMs,
    onConnected: () => connections.made(),
  })
  const waiting = openWaiting(url, log, patience)
  const awaiting = openAwaiting(url, log, patience)

  return {
    side: 'clinic',

    takeChanges: taking(pool, zone),

    async settleChanges(settlements) {
      if (settlements.length === 0) return
      await pool.execute('sync.SettleChanges', { Outcomes: [sql.NVarChar(sql.MAX), JSON.stringify(settlements)] })
    },

    applyChanges: (events) => applyChanges(pool, zone, events),

    rehearse: (event) => rehearse(pool, zone, event),

    async readRows(table, after, max) {
      const inputs = { Table: [sql.NVarChar(100), table], After: [sql.Int, after], Max: [sql.Int, max] } as const
      const [rows = []] = await pool.execute('sync.ReadRows', inputs)
      return rows.map((row): KeyedRow => {
        const key = row.RecordID as Key
        return { key, row: rowFrom(tableNamed(table), row.RowData as string, zone) }
      })
    },

    async backfillPage(table, max, restart) {
      const inputs = { Table: [sql.NVarChar(100), table], Max: [sql.Int, max], Restart: [sql.Bit, restart] } as const
      const [[page] = []] = await pool.execute('sync.BackfillPage', inputs)
      if (page === undefined) throw otherVersion('sync.BackfillPage')
      return {
        queued: Number(page.Queued),
        done: Number(page.Done),
        total: Number(page.Total),
        finished: Boolean(page.Finished),
      }
    },

    waitForChanges: (signal) => connections.listening(() => waiting.wait(signal)),

    async openTransactions() {
      const [rows = []] = await pool.execute('sync.OpenTransactions', {})
      return rows.map((row) => ({ session: Number(row.SessionID), queueId: String(row.QueueID) }))
    },

    awaitTransaction: (transaction, signal) => awaiting.wait(transaction, signal),

    ...operating(pool),
    ...comparable(pool, connections),
    ...restorable(pool),
    ...recorded(pool, zone),
    ...verifiable(pool),
    ...traceable(pool),

    ringDoorbell: () => ringDoorbell(pool),

    async openRows() {
      const [rows = []] = await pool.execute('sync.OpenRows', {})
      return rows.map((row) => ({ queueId: String(row.QueueID), retrying: Boolean(row.Retrying) }))
    },

    async check() {
      // Nothing is above the highest key: this says only whether the procedures are there. (sync.Inspect would read much more.)
      const inputs = {
        Table: [sql.NVarChar(100), tables[0]?.name],
        After: [sql.Int, HIGHEST],
        Max: [sql.Int, 1],
      } as const
      await pool.execute('sync.ReadRows', inputs)
      // In a later file of the migrations: an upgrade may have brought the one and not yet the other.
      await checkApply(pool)
    },

    async inspect() {
      const [rows = []] = await pool.execute('sync.Inspect', {})
      return new Map(rows.map(({ Name, Value }) => [String(Name), Value === null ? null : String(Value)]))
    },

    async close() {
      await Promise.all([waiting.close(), awaiting.close(), pool.close()])
    },
  }
}

function zoneNamed(timeZone: string): Zone {
  try {
    return openZone(timeZone)
  } catch (cause) {
    throw new SyncError('SYNC_CONFIG', 'CLINIC_TIME_ZONE is not a time zone; give one such as Asia/Baghdad.', { cause })
  }
}
