import { DatabaseError, type RecordState, type Verifiable } from '@clinic-sync/sync'
import sql from './driver.ts'
import type { Pool } from './pool.ts'

export const verifiable = (pool: Pool): Verifiable => ({
  async recordStates(records) {
    if (records.length === 0) return []
    const asked = JSON.stringify(records.map(({ table, key }) => ({ table, key })))
    const [rows = []] = await pool.execute('sync.RecordStates', { Records: [sql.NVarChar(sql.MAX), asked] })
    const byOrdinal = new Map(rows.map((row) => [Number(row.Ordinal), row]))
    return records.map((_, index): RecordState => {
      const row = byOrdinal.get(index + 1)
      if (row === undefined) throw otherVersion()
      return {
        applied: String(row.Applied),
        last: row.LastID as string | null,
        open: Boolean(row.IsOpen),
        cause: row.Cause as string | null,
        editing: false,
      }
    })
  },
})

const otherVersion = () =>
  new DatabaseError('down', "sync.RecordStates of the clinic's database is of another version.", {
    code: 'SYNC_NOT_MIGRATED',
  })
