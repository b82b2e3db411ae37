import { setTimeout as delay } from 'node:timers/promises'
import type { Fault } from '../fault.ts'

const STAFF = ['staff'] as const
/** The services' procedures that write. */
const WRITING = ['sync.TakeChanges', 'sync.SettleChanges', 'sync.ApplyPortalChanges']

const restart: Fault = {
  name: 'clinic-restart',
  about:
    'SQL Server ends every connection, and takes none for a while (the simulator keeps its rows in memory, and stays)',
  lastsMs: [2_000, 5_000],
  hurts: STAFF,
  async inject({ world: { clinic } }) {
    clinic.dropConnections()
    const timer = setInterval(() => clinic.dropConnections(), 20)
    return async () => clearInterval(timer)
  },
}

const cut: Fault = {
  name: 'clinic-cut',
  about: 'SQL Server ends every connection, five times in 2 s',
  lastsMs: [0, 0],
  hurts: STAFF,
  async inject({ world: { clinic } }, random) {
    for (let i = 0; i < 5; i++) {
      clinic.dropConnections()
      await delay(random.int(50, 600))
    }
    return async () => undefined
  },
}

const hang: Fault = {
  name: 'clinic-hangs',
  about: 'SQL Server answers nothing for a while, and then everything',
  lastsMs: [4_000, 8_000],
  hurts: STAFF,
  async inject({ world: { clinic } }) {
    clinic.pause()
    return async () => clinic.resume()
  },
}

const fails = (name: string, about: string, number: number, message: string): Fault => ({
  name,
  about,
  lastsMs: [4_000, 10_000],
  async inject({ world: { clinic } }) {
    clinic.failWith({ number, message, of: WRITING })
    return async () => clinic.failWith(null)
  },
})

const deadlock: Fault = {
  name: 'clinic-deadlock',
  about: "the sync's calls are the victim of a deadlock (1205), on and off",
  lastsMs: [4_000, 8_000],
  async inject({ world: { clinic } }, random) {
    const victim = { number: 1205, message: 'chosen as the deadlock victim', severity: 13, of: WRITING }
    const timer = setInterval(() => clinic.failWith(random.chance(0.5) ? victim : null), 60)
    return async () => {
      clearInterval(timer)
      clinic.failWith(null)
    }
  },
}

export const CLINIC_FAULTS: readonly Fault[] = [
  cut,
  restart,
  hang,
  deadlock,
  fails(
    'clinic-read-only',
    'SQL Server takes no writes of the sync (3906: the database is read-only)',
    3906,
    'Failed to update the database because it is read-only.',
  ),
  fails(
    'clinic-disk-full',
    'SQL Server has no room for what the sync writes (1105)',
    1105,
    'Could not allocate space because the filegroup is full.',
  ),
  fails('clinic-log-full', 'the transaction log of SQL Server is full (9002)', 9002, 'The transaction log is full.'),
  fails('clinic-no-memory', 'SQL Server has no memory for the sync (701)', 701, 'There is insufficient system memory.'),
]
