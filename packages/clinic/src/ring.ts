import { DatabaseError, type Rung } from '@clinic-sync/sync'
import type { Pool } from './pool.ts'

/** Has the clinic's database ring as a change would: `sync.RingDoorbell`. @throws DatabaseError */
export async function ringDoorbell(connection: Pick<Pool, 'execute'>): Promise<Rung> {
  const [[rung] = []] = await connection.execute('sync.RingDoorbell', {})
  if (rung === undefined)
    throw new DatabaseError('down', "sync.RingDoorbell of the clinic's database is of another version.", {
      code: 'SYNC_NOT_MIGRATED',
    })
  const { Doorbell: doorbell, Rang: rang, Answer: answer } = rung
  return { doorbell: String(doorbell), rang: Boolean(rang), answer: answer === null ? null : String(answer) }
}
