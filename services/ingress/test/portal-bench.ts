import { randomBytes } from 'node:crypto'
import { connectBroker } from '@clinic-sync/broker'
import { migrate } from '@clinic-sync/cli'
import type { SyncEvent } from '@clinic-sync/contracts'
import { testPostgres, testVhost, type Wire, wireTo } from '@clinic-sync/dev-services/testing'
import { openPortal } from '@clinic-sync/portal'
import pg from 'pg'
import type { Test } from 'tap'
import { serve } from '../src/serve.ts'
import type { PortalDoorbell } from '../src/start-lines.ts'
import { Fake } from './fake-outbox.ts'
import { listening, recordingLog, until } from './help.ts'

export const SECRET = 'portal-bench-secret-0123456789'
export const KEY = randomBytes(32)

/** One doctor, one patient with work and a set; batch 1, and the Doctor note 1. */
const SAMPLE = `
  BEGIN;
  SET LOCAL sync.applying = 'on';
  INSERT INTO aligner_doctors (dr_id, doctor_name) VALUES (1, 'Dr. Layla Haddad');
  INSERT INTO patients (person_id, patient_name) VALUES (1, 'سارة كريم');
  INSERT INTO work (work_id, person_id) VALUES (1, 1);
  INSERT INTO aligner_sets (aligner_set_id, work_id, aligner_dr_id) VALUES (1, 1, 1);
  INSERT INTO aligner_batches (aligner_batch_id, aligner_set_id, batch_sequence, days) VALUES (1, 1, 1, 10);
  INSERT INTO aligner_notes (note_id, aligner_set_id, note_type, note_text) VALUES (1, 1, 'Doctor', 'please check 16');
  COMMIT;`

export interface PortalBench {
  readonly url: string
  /** Between the ingress and the portal's database. */
  readonly wire: Wire
  /** A doctor at work. */
  readonly doctor: pg.Client
  /** Events as the consumer of `postgres-to-sql` got them; each was reported as applied. */
  readonly events: readonly SyncEvent[]
  readonly logs: ReturnType<typeof recordingLog>
  readonly clinic: Fake
  check(name: string): string | undefined
  /** Has the doorbells tested; gives the answer. */
  test(): Promise<unknown>
  /** Everything that a doctor's edit, or a forger, could change: rows, outbox, bookkeeping. */
  contents(): Promise<unknown>
  /** Resolves when all outbox rows are Synced, and all is ready. */
  settled(): Promise<void>
}

/**
 * The ingress over a real, migrated portal and RabbitMQ, with a clinic in memory; a consumer reports each event as applied.
 */
export async function portalBench(t: Test, portalDoorbell: PortalDoorbell): Promise<PortalBench> {
  const [{ url: portalUrl }, { url: rabbitUrl }] = await Promise.all([testPostgres(t), testVhost(t)])
  await migrate({ side: 'portal', url: portalUrl, withPortalTables: true })
  const doctor = new pg.Client({ connectionString: portalUrl })
  await doctor.connect()
  t.teardown(() => doctor.end())
  await doctor.query(SAMPLE)

  const logs = recordingLog()
  const { log } = logs
  const wire = await wireTo(t, portalUrl)
  const doorbell = portalDoorbell === 'webhook' ? 'webhook' : 'listen'
  const portal = await openPortal({ url: wire.url, log, doorbell })
  const broker = await connectBroker({ url: rabbitUrl, log, name: 'ingress' })
  const clinic = new Fake('clinic')
  const served = await serve({
    clinic: Object.assign(clinic, { waitForChanges: () => Promise.reject(new Error('not asked for')) }),
    portal,
    broker,
    log,
    onFatal: (error) => {
      throw error
    },
    clinicDoorbell: 'none',
    portalDoorbell,
    ...listening(SECRET),
    webhookKeys: [KEY],
  })
  const consumer = await connectBroker({ url: rabbitUrl, log, name: 'consumer' })
  const events: SyncEvent[] = []
  const handler: Parameters<typeof consumer.consumeEvents>[1] = async ({ events: delivered }) => {
    events.push(...delivered.map(({ event }) => event))
    const outcomes = delivered.map(({ event: { data } }) => {
      const { table, key, version } = data
      return { table, key, version, outcome: 'applied' as const }
    })
    await consumer.publishOutcomes({ direction: 'postgres-to-sql', outcomes })
    return delivered.map(() => ({ action: 'done' as const }))
  }
  consumer.consumeEvents('postgres-to-sql', handler, { check: async () => undefined })
  t.teardown(async () => {
    await served.close()
    await Promise.all([broker.close(), consumer.close(), portal.close()])
  })

  const { state } = served.ingress
  const rows = async (text: string) => (await doctor.query<Record<string, unknown>>(text)).rows
  await until('it is ready', () => state.read().ready)
  return {
    url: served.url,
    wire,
    doctor,
    events,
    logs,
    clinic,
    check: (name) => state.read().checks[name],
    async test() {
      const request = { method: 'POST', headers: { authorization: `Bearer ${SECRET}` } }
      return (await (await fetch(`${served.url}/api/sync/doorbells/test`, request)).json()) as unknown
    },
    async contents() {
      const tables = ['aligner_doctors', 'patients', 'work', 'aligner_sets', 'aligner_batches', 'aligner_notes']
      const kept = ['sync.queue', 'sync.row_state', 'sync.lost_edits', 'aligner_set_payments']
      const found = [...tables, ...kept].map(async (name) => [name, await rows(`SELECT * FROM ${name} ORDER BY 1, 2`)])
      return Object.fromEntries(await Promise.all(found)) as unknown
    },
    async settled() {
      await until('all is settled', async () => {
        const open = await rows(`SELECT 1 FROM sync.queue WHERE status <> 'Synced'`)
        return open.length === 0 && state.read().ready
      })
    },
  }
}
