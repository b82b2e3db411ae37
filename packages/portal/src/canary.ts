import type { Version } from '@clinic-sync/contracts'
import { DatabaseError, type OutboxRowStatus, type SentCanary, type Traceable } from '@clinic-sync/sync'
import type { Database } from './pool.ts'

interface Found {
  readonly applied: Version
  readonly held: string | null
  readonly trigger: string | null
  readonly row: { readonly status: OutboxRowStatus; readonly reason: string | null } | null
}

/** The canary in the portal. */
export const traceable = (database: Database): Traceable => ({
  async sendCanary(token) {
    const [sent] = await database.query('SELECT sync.send_canary($1) AS id', [token])
    const queueId = sent?.id ?? null
    return { queueId, trigger: queueId === null ? stateOf(await read(database, null)) : 'enabled' }
  },

  async readCanary(queueId) {
    const { applied, held, row } = await read(database, queueId)
    return {
      applied,
      isHeld: held !== null,
      row: row === null || queueId === null ? null : { queueId, ...row },
      newest: null,
    }
  },
})

async function read(database: Database, queueId: Version | null): Promise<Found> {
  const [found] = await database.query('SELECT sync.read_canary($1) AS state', [queueId])
  if (found?.state === undefined || found.state === null)
    throw new DatabaseError('down', 'sync.read_canary did not answer', { code: 'SYNC_NOT_MIGRATED' })
  return JSON.parse(found.state) as Found
}

/** `O` and `A`: it fires; `R`: for replicas only, and `D`: never. */
function stateOf({ trigger }: Found): SentCanary['trigger'] {
  if (trigger === null) return 'missing'
  return trigger === 'O' || trigger === 'A' ? 'enabled' : 'disabled'
}
