import { connectClinic } from '@clinic-sync/demo'
import type mssql from 'mssql'
import pg from 'pg'
import type { Side } from '../measures/outboxes.ts'
import type { Mode } from '../stage/mode.ts'
import type { Stage } from '../stage/stage.ts'
import { type Edited, EDITED } from '../stage/visible.ts'
import { daysOf, nextTime } from './changes.ts'

/** Connections: enough that an edit by schedule never waits for one, however slow a doorbell within it is. */
const HANDS = 16

/** Those who edit single rows on one side, staff or doctors, each on a connection of his own. */
export interface Hands {
  /** Edits rows from `key` on: one, or as many as are said, in one statement. @returns `performance.now()` when it is committed, as far as they know */
  edit(of: Edited, key: number, rows?: number): Promise<number>
  close(): Promise<void>
}

export const People = {
  /** With all connections made. In a mode with Supabase's webhook a doctor's edit posts it, at its commit, as Supabase does. */
  async of(stage: Stage, side: Side, mode: Mode): Promise<Hands> {
    return side === 'clinic' ? staff(await warm(stage)) : doctors(stage, mode)
  },
}

async function warm({ addresses }: Stage): Promise<mssql.ConnectionPool> {
  const pool = await connectClinic(addresses.clinic, HANDS)
  await Promise.all(Array.from({ length: HANDS }, () => pool.request().query('SELECT 1 AS one')))
  return pool
}

function staff(pool: mssql.ConnectionPool): Hands {
  return {
    async edit(of, key, rows = 1) {
      const n = nextTime()
      const where = rows === 1 ? `= ${key}` : `BETWEEN ${key} AND ${key + rows - 1}`
      await pool
        .request()
        .query(
          of === 'notes'
            ? `UPDATE dbo.tblAlignerNotes SET NoteText = N'Rang the patient, comes on Thursday; ${n}' WHERE NoteID ${where}`
            : `UPDATE dbo.tblAlignerBatches SET Notes = N'مستعجل ${n}' WHERE AlignerBatchID ${where}`,
        )
      return performance.now()
    },
    close: () => pool.close(),
  }
}

async function doctors({ addresses, crew }: Stage, mode: Mode): Promise<Hands> {
  const pool = new pg.Pool({ connectionString: addresses.portal, max: HANDS, idleTimeoutMillis: 0 })
  pool.on('error', () => undefined)
  await Promise.all(Array.from({ length: HANDS }, () => pool.query('SELECT pg_sleep(0.05)')))
  const ingress = await crew.addressOf('ingress')
  const post = async (table: string, record: unknown) => {
    const answer = await fetch(`${ingress}/api/sync/webhook`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-sync-secret': crew.secret },
      body: JSON.stringify({ type: 'UPDATE', table, schema: 'public', record, old_record: record }),
    })
    if (answer.status !== 202) throw new Error(`The webhook was answered with ${answer.status}: ${await answer.text()}`)
    await answer.body?.cancel()
  }
  return {
    async edit(of, key, rows = 1) {
      const n = nextTime()
      const { portal: table, key: column } = EDITED[of]
      const set = of === 'notes' ? 'note_text = $1' : 'days = $1'
      const { rows: written } = await pool.query<Record<string, unknown>>(
        `UPDATE ${table} SET ${set} WHERE ${column} BETWEEN $2 AND $3${mode === 'http' ? ' RETURNING *' : ''}`,
        [of === 'notes' ? `Rang the patient, comes on Thursday; ${n}` : daysOf(n), key, key + rows - 1],
      )
      const at = performance.now()
      await Promise.all(written.map((record) => post(table, record)))
      return at
    },
    close: () => pool.end(),
  }
}
