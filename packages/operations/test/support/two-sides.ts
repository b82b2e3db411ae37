import { migrate } from '@clinic-sync/cli'
import { type Clinic, openClinic, openScriptConnection } from '@clinic-sync/clinic'
import type { Outcome, Side, SyncEvent } from '@clinic-sync/contracts'
import { testClinic, testPostgres } from '@clinic-sync/dev-services/testing'
import { openPortal, type Portal } from '@clinic-sync/portal'
import { DatabaseError, findRestored, SyncError, toEvent } from '@clinic-sync/sync'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { pino } from 'pino'
import type { Test } from 'tap'
import { repair, type RepairPorts, stillDiffering } from '../../src/index.ts'

const OTHER = { clinic: 'portal', portal: 'clinic' } as const
const SIDES = ['clinic', 'portal'] as const

/**
 * Both databases, and between them what the services do, step by step: an outbox is taken from only while both sides agree on what they
 * know of each other; what is on the way to a side is what lies in RabbitMQ.
 */
export async function twoSides(t: Test) {
  const [simulator, postgres] = await Promise.all([testClinic(t), testPostgres(t)])
  await migrate({ side: 'portal', url: postgres.url, withPortalTables: true })
  const log = pino({ level: 'silent' })
  const clinic: Clinic = await openClinic({ url: simulator.url, timeZone: 'Asia/Baghdad', log })
  let portal: Portal = await openPortal({ url: postgres.url, log })
  let doctor = await connect(postgres.url)
  let staff = openScriptConnection(simulator.url)
  t.teardown(() => Promise.all([clinic.close(), portal.close(), doctor.end(), staff.close()]))
  const onTheWay: Record<Side, SyncEvent[]> = { clinic: [], portal: [] }
  const database = (side: Side) => (side === 'clinic' ? clinic : portal)

  const restored = async () => (await findRestored({ clinic, portal })).restored.map(({ side }) => side)
  /** Takes what is pending; nothing where a side was restored. */
  async function publish(side: Side): Promise<void> {
    const { restored: found, repairing } = await findRestored({ clinic, portal })
    if (found.length > 0 || repairing) throw new SyncError('SYNC_RESTORED', 'restored')
    const { changes } = await database(side).takeChanges(1_000)
    await database(side).settleChanges(
      changes.map(({ table, key, version }) => ({ table, key, version, outcome: 'queued' })),
    )
    onTheWay[OTHER[side]].push(...changes.map((change) => toEvent(side, change)))
  }
  /** Delivers what is on the way to a side, one by one, and tells the outcomes. */
  async function deliver(to: Side): Promise<Outcome[]> {
    const outcomes: Outcome[] = []
    for (let event = onTheWay[to][0]; event !== undefined; event = onTheWay[to][0]) {
      outcomes.push(...(await database(to).applyChanges([event])))
      onTheWay[to].shift()
    }
    await database(OTHER[to]).settleChanges(outcomes)
    return outcomes
  }
  /** Until nothing is left to be sent. */
  async function settle(): Promise<void> {
    for (let round = 0; round < 20; round++) {
      for (const side of SIDES) await publish(side)
      for (const side of SIDES) await deliver(side)
      const open = await Promise.all(SIDES.map(async (side) => (await database(side).outboxStatus()).rows))
      if (open.every(({ Pending, Queued }) => Pending + Queued === 0)) return
    }
    throw new Error('it never ends')
  }

  /**
   * As the services do it until `signal` aborts: taken, marked as sent, applied until it can be, and settled.
   *
   * @returns how many were carried
   */
  async function carry(from: Side, signal: AbortSignal): Promise<number> {
    const [source, target] = [database(from), database(OTHER[from])]
    let carried = 0
    while (!signal.aborted) {
      try {
        const { changes } = await source.takeChanges(20)
        await source.settleChanges(
          changes.map(({ table, key, version }) => ({ table, key, version, outcome: 'queued' })),
        )
        for (const change of changes) await carryOne(toEvent(from, change))
      } catch (error) {
        if (!(error instanceof DatabaseError)) throw error
      }
      await sleep(1 + Math.random() * 20)
    }
    return carried

    async function carryOne(event: SyncEvent): Promise<void> {
      for (;;) {
        try {
          const outcomes = await target.applyChanges([event])
          await source.settleChanges(outcomes)
          if (outcomes.every(({ outcome }) => outcome !== 'retry')) break
        } catch (error) {
          if (!(error instanceof DatabaseError)) throw error
        }
        await sleep(5)
      }
      carried++
    }
  }

  return {
    clinic,
    get portal() {
      return portal
    },
    onTheWay,
    restored,
    publish,
    deliver,
    settle,
    carry,
    /** A doctor, a patient and a work, each with key 1. */
    async treatment(): Promise<void> {
      await staff.batch(`SET IDENTITY_INSERT dbo.AlignerDoctors ON;
        INSERT INTO dbo.AlignerDoctors (DrID, DoctorName) VALUES (1, N'Dr Test');
        SET IDENTITY_INSERT dbo.AlignerDoctors OFF`)
      await staff.batch(`SET IDENTITY_INSERT dbo.tblpatients ON;
        INSERT INTO dbo.tblpatients (PersonID, PatientName) VALUES (1, N'Test Patient');
        SET IDENTITY_INSERT dbo.tblpatients OFF`)
      await staff.batch(`SET IDENTITY_INSERT dbo.tblwork ON;
        INSERT INTO dbo.tblwork (workid, PersonID, TotalRequired, Typeofwork, DrID, Status) VALUES (1, 1, 0, 19, 1, 1);
        SET IDENTITY_INSERT dbo.tblwork OFF`)
    },
    staff: (text: string) => staff.batch(text),
    doctor: async (text: string) => (await doctor.query<Record<string, unknown>>(text)).rows,
    differing: () => stillDiffering(clinic, portal),
    /** A backup of a side, and how to go back to it. */
    async backUp(side: Side): Promise<() => Promise<void>> {
      if (side === 'clinic') {
        const backup = simulator.backUp()
        return async () => {
          await staff.close()
          await simulator.restore(backup)
          staff = openScriptConnection(simulator.url)
        }
      }
      const copy = `${postgres.name}_b${Math.random().toString(36).slice(2, 8)}`
      await Promise.all([portal.close(), doctor.end()])
      await onServer(postgres.url, `CREATE DATABASE ${copy} TEMPLATE ${postgres.name}`)
      t.teardown(() => onServer(postgres.url, `DROP DATABASE IF EXISTS ${copy} WITH (FORCE)`))
      const open = async () => {
        portal = await openPortal({ url: postgres.url, log })
        doctor = await connect(postgres.url)
      }
      await open()
      return async () => {
        await Promise.all([portal.close(), doctor.end()])
        await onServer(postgres.url, `DROP DATABASE ${postgres.name} WITH (FORCE)`)
        await onServer(postgres.url, `CREATE DATABASE ${postgres.name} TEMPLATE ${copy}`)
        await open()
      }
    },
    /** As the command does it. `ports`: others than the usual ones. */
    async repair(ports: (usual: RepairPorts) => RepairPorts = (usual) => usual) {
      const { restored: found } = await findRestored({ clinic, portal })
      const usual: RepairPorts = {
        clinic,
        portal,
        say: () => undefined,
        patienceMs: 5_000,
        async waiting(direction) {
          const to = direction === 'sql-to-postgres' ? 'portal' : 'clinic'
          await deliver(to)
          return onTheWay[to].length
        },
        ring: settle,
      }
      return repair(ports(usual), found)
    },
  }
}
export type TwoSides = Awaited<ReturnType<typeof twoSides>>

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => undefined)
  await client.connect()
  return client
}

async function onServer(url: string, statement: string): Promise<void> {
  const server = new URL(url)
  server.pathname = '/postgres'
  const client = await connect(server.href)
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}
