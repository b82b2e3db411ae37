import type { Row } from '@clinic-sync/contracts'
import mssql from 'mssql'
import pg from 'pg'
import { recordOf } from '../people/ledger.ts'

/** A line of the clinic's log of conflicts. `column` null: the record as a whole. */
export interface Ruled {
  readonly record: string
  readonly column: string | null
  /** As the log has them: texts as they are, everything else as text. */
  readonly clinic: string | null
  readonly portal: string | null
  readonly ruling: string
}

/** What a doctor wrote and the clinic did not take, as the portal keeps it. */
export interface Lost {
  readonly record: string
  readonly row: Row | null
}

export interface OpenRow {
  readonly side: 'clinic' | 'portal'
  readonly record: string
  readonly status: string
  readonly error: string | null
}

/** How far the outboxes have grown: a loop would make them grow for ever. */
export interface Growth {
  readonly clinic: string
  readonly portal: string
}

/** What both databases have on record besides their rows. */
export class Books {
  readonly #clinic: mssql.ConnectionPool
  readonly #portal: pg.Pool

  /** As the owners of both; they are closed by whoever opened them. */
  constructor(clinic: mssql.ConnectionPool, portal: pg.Pool) {
    this.#clinic = clinic
    this.#portal = portal
  }

  async conflicts(): Promise<Ruled[]> {
    const { recordset } = await this.#clinic
      .request()
      .query<Record<string, unknown>>(
        `SELECT TableName, RecordID, ColumnName, ClinicValue, PortalValue, Ruling FROM sync.Conflicts ORDER BY ConflictID`,
      )
    return recordset.map((row) => ({
      record: recordOf({ table: String(row.TableName), key: Number(row.RecordID) }),
      column: text(row.ColumnName),
      clinic: text(row.ClinicValue),
      portal: text(row.PortalValue),
      ruling: String(row.Ruling),
    }))
  }

  async lostEdits(): Promise<Lost[]> {
    const { rows } = await this.#portal.query<{ table_name: string; record_id: number; lost_row: Row | null }>(
      'SELECT table_name, record_id, lost_row FROM sync.lost_edits ORDER BY lost_edit_id',
    )
    return rows.map((row) => ({ record: recordOf({ table: row.table_name, key: row.record_id }), row: row.lost_row }))
  }

  /** Outbox rows of both sides with one of these statuses. */
  async outbox(...statuses: readonly ('Pending' | 'Queued' | 'Failed')[]): Promise<OpenRow[]> {
    const list = statuses.map((status) => `'${status}'`).join(', ')
    const [clinic, portal] = await Promise.all([
      this.#clinic
        .request()
        .query<Record<string, unknown>>(
          `SELECT TableName AS t, RecordID AS k, Status AS s, LastError AS e FROM dbo.SyncQueue WHERE Status IN (${list})`,
        ),
      this.#portal.query<Record<string, unknown>>(
        `SELECT table_name AS t, record_id AS k, status AS s, last_error AS e FROM sync.queue WHERE status IN (${list})`,
      ),
    ])
    const open = (side: OpenRow['side']) => (row: Record<string, unknown>) => ({
      side,
      record: recordOf({ table: String(row.t), key: Number(row.k) }),
      status: String(row.s),
      error: text(row.e),
    })
    return [...clinic.recordset.map(open('clinic')), ...portal.rows.map(open('portal'))]
  }

  async growth(): Promise<Growth> {
    const [clinic, portal] = await Promise.all([
      this.#clinic
        .request()
        .query<{ n: number; last: string | null }>('SELECT COUNT(*) AS n, MAX(QueueID) AS last FROM dbo.SyncQueue'),
      this.#portal.query<{ n: string; last: string | null }>(
        'SELECT count(*) AS n, max(queue_id) AS last FROM sync.queue',
      ),
    ])
    return {
      clinic: `${clinic.recordset[0]?.n} rows, the last ${clinic.recordset[0]?.last}`,
      portal: `${portal.rows[0]?.n} rows, the last ${portal.rows[0]?.last}`,
    }
  }
}

const text = (value: unknown): string | null => (value === null || value === undefined ? null : String(value))
