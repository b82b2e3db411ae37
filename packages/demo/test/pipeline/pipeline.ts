import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { migrate } from '@clinic-sync/cli'
import { type Clinic, openClinic } from '@clinic-sync/clinic'
import { testClinic, testPostgres, testVhost } from '@clinic-sync/dev-services/testing'
import { openPortal, type Portal } from '@clinic-sync/portal'
import type { Simulator } from '@clinic-sync/sqlserver-simulator'
import type mssql from 'mssql'
import pg from 'pg'
import { pino } from 'pino'
import type { Test } from 'tap'
import type { Child } from '../../src/run/child.ts'
import { connectClinic } from '../../src/run/clinic-pool.ts'
import { startProcesses } from '../../src/run/services.ts'

const PATIENCE_MS = 30_000
export const WEBHOOK_SECRET = 'a webhook secret for this test'
export const OPERATOR_TOKEN = 'an-operator-token-for-this-test'

/** Both databases and the broker, ready for the services. */
export interface Prepared {
  readonly simulator: Simulator
  /** As the clinic's staff. */
  readonly clinic: mssql.ConnectionPool
  /** As the portal's owner. */
  readonly portal: pg.Pool
  readonly portalUrl: string
  readonly rabbitUrl: string
  readonly sides: { readonly clinic: Clinic; readonly portal: Portal }
  /** Starts the services, with these settings besides the usual ones, and resolves once they are ready. */
  start(logLevel?: string, settings?: Readonly<Record<string, string>>): Promise<Pipeline>
}

/** The whole sync, both ways, each service a process of its own, as a clinic runs it. */
export interface Pipeline extends Prepared {
  readonly ingressUrl: string
  /** Everything that the services have logged. */
  logs(): Promise<string>
  /** Waits until `holds` does. */
  until(what: string, holds: () => Promise<boolean>): Promise<void>
  /** Waits until every row of both outboxes is Synced or Failed. */
  settled(): Promise<void>
  /** Ends the services. */
  stop(): Promise<void>
}

export async function startPipeline(t: Test, logLevel?: string): Promise<Pipeline> {
  return (await preparePipeline(t)).start(logLevel)
}

/** Everything but the services. */
export async function preparePipeline(t: Test): Promise<Prepared> {
  const folder = await mkdtemp(join(tmpdir(), 'clinic-sync-pipeline-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const [simulator, postgres, rabbit] = await Promise.all([testClinic(t), testPostgres(t), testVhost(t)])
  await migrate({ side: 'portal', url: postgres.url, withPortalTables: true })

  const log = pino({ level: 'silent' })
  const sides = {
    clinic: await openClinic({ url: simulator.url, timeZone: 'Asia/Baghdad', log }),
    portal: await openPortal({ url: postgres.url, log }),
  }
  const clinic = await connectClinic(simulator.url)
  const portal = new pg.Pool({ connectionString: postgres.url, max: 4 })
  portal.on('error', () => undefined)

  let children: readonly Child[] = []
  t.teardown(async () => {
    await Promise.all(children.map((child) => child.stop()))
    await Promise.all([clinic.close(), portal.end(), sides.clinic.close(), sides.portal.close()])
  })
  const until: Pipeline['until'] = async (what, holds) => {
    const deadline = performance.now() + PATIENCE_MS
    while (!(await holds())) {
      if (performance.now() > deadline) throw new Error(`waited too long until ${what}`)
      await delay(20)
    }
  }
  const settled = () =>
    until('the outboxes are settled', async () => {
      const { rows } = await portal.query(
        `SELECT count(*)::int AS n FROM sync.queue WHERE status IN ('Pending', 'Queued')`,
      )
      const open = await clinic
        .request()
        .query<{ n: number }>(`SELECT COUNT(*) AS n FROM dbo.SyncQueue WHERE Status IN ('Pending', 'Queued')`)
      return rows[0]?.n === 0 && open.recordset[0]?.n === 0
    })
  const prepared: Prepared = {
    simulator,
    clinic,
    portal,
    portalUrl: postgres.url,
    rabbitUrl: rabbit.url,
    sides,
    async start(logLevel = 'info', others = {}) {
      const settings = {
        SQLSERVER_URL: simulator.serviceUrl,
        POSTGRES_URL: postgres.url,
        RABBITMQ_URL: rabbit.url,
        CLINIC_TIME_ZONE: 'Asia/Baghdad',
        CLINIC_DOORBELL: 'service-broker',
        SYNC_WEBHOOK_SECRET: WEBHOOK_SECRET,
        SYNC_OPERATOR_TOKEN: OPERATOR_TOKEN,
        LOG_LEVEL: logLevel,
        ...others,
      }
      const { ingressUrl } = await startProcesses(settings, folder, (started) => (children = started))
      const logs = async () => (await Promise.all(children.map((child) => readFile(child.logFile, 'utf8')))).join('')
      const stop = async () => void (await Promise.all(children.map((child) => child.stop())))
      return { ...prepared, ingressUrl, logs, until, settled, stop }
    },
  }
  return prepared
}

/** One patient with work, a set, a batch and a doctor, under keys of the test's choosing, so that notes have a home. */
export async function addCase(clinic: mssql.ConnectionPool, key: number, name = 'Test Patient'): Promise<void> {
  const statements = [
    `SET IDENTITY_INSERT dbo.AlignerDoctors ON;
     INSERT INTO dbo.AlignerDoctors (DrID, DoctorName) VALUES (${key}, N'Dr Test');
     SET IDENTITY_INSERT dbo.AlignerDoctors OFF`,
    `SET IDENTITY_INSERT dbo.tblpatients ON;
     INSERT INTO dbo.tblpatients (PersonID, PatientName) VALUES (${key}, N'${name}');
     SET IDENTITY_INSERT dbo.tblpatients OFF`,
    `SET IDENTITY_INSERT dbo.tblwork ON;
     INSERT INTO dbo.tblwork (workid, PersonID, TotalRequired, Typeofwork, DrID, Status) VALUES (${key}, ${key}, 0, 19, 1, 1);
     SET IDENTITY_INSERT dbo.tblwork OFF`,
    `SET IDENTITY_INSERT dbo.tblAlignerSets ON;
     INSERT INTO dbo.tblAlignerSets (AlignerSetID, WorkID, SetSequence, AlignerDrID) VALUES (${key}, ${key}, 1, ${key});
     SET IDENTITY_INSERT dbo.tblAlignerSets OFF`,
  ]
  for (const statement of statements) await clinic.request().batch(statement)
}
