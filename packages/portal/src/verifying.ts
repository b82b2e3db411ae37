import type { Verification } from '@clinic-sync/contracts'
import { isTableName } from '@clinic-sync/mapping'
import { DatabaseError, type RecordState, type Verifiable, type Verifications } from '@clinic-sync/sync'
import type { Database } from './pool.ts'

export const verifiable = (database: Database): Verifiable => ({
  async recordStates(records) {
    if (records.length === 0) return []
    const asked = JSON.stringify(records.map(({ table, key }) => ({ table, key })))
    const [row] = await database.query('SELECT sync.record_states($1) AS found', [asked])
    const states = JSON.parse(row?.found ?? '[]') as RecordState[]
    if (states.length === records.length) return states
    throw new DatabaseError('down', "sync.record_states of the portal's database is of another version.", {
      code: 'SYNC_NOT_MIGRATED',
    })
  },
})

export const verifications = (database: Database): Verifications => ({
  async keepVerification(verification) {
    await database.query('SELECT sync.keep_verification($1)', [JSON.stringify(verification)])
  },

  async lastVerification() {
    const [row] = await database.query('SELECT sync.last_verification() AS result')
    return JSON.parse(row?.result ?? 'null') as Verification | null
  },

  async rowEstimates() {
    const [row] = await database.query('SELECT sync.row_estimates() AS found')
    const found = Object.entries(JSON.parse(row?.found ?? '{}') as Record<string, number>)
    return new Map(found.flatMap(([table, rows]) => (isTableName(table) ? [[table, rows] as const] : [])))
  },
})
