import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import type { Fault } from '../fault.ts'
import type { Ground } from '../ground/ground.ts'
import { patiently } from '../ground/patience.ts'
import { execute } from '../ground/world.ts'

const DOCTORS = ['doctors'] as const

/** Ends sessions of the portal: the services', or everybody's. */
const endSessions = ({ world: { postgres } }: Ground, whose: 'services' | 'all') =>
  patiently(() =>
    execute(
      postgres.serverUrl,
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${postgres.database}'${whose === 'all' ? '' : " AND application_name = 'clinic-sync'"}`,
    ),
  )

const restart: Fault = {
  name: 'portal-restart',
  about: 'Postgres crashes and starts again',
  lastsMs: [0, 0],
  hurts: DOCTORS,
  async inject({ world }) {
    await world.postgres.restart()
    return async () => undefined
  },
}

const cut: Fault = {
  name: 'portal-cut',
  about: "pg_terminate_backend for all of the services' connections, ten times in 3 s",
  lastsMs: [0, 0],
  async inject(ground, random) {
    for (let i = 0; i < 10; i++) {
      await endSessions(ground, 'services')
      await delay(random.int(50, 500))
    }
    return async () => undefined
  },
}

const readOnly: Fault = {
  name: 'portal-read-only',
  about: 'Postgres takes no writes (default_transaction_read_only), as during a fail-over',
  lastsMs: [4_000, 10_000],
  hurts: DOCTORS,
  async inject(ground) {
    const { serverUrl, database } = ground.world.postgres
    const set = (how: string) => patiently(() => execute(serverUrl, `ALTER DATABASE ${database} ${how}`))
    await set('SET default_transaction_read_only = on')
    await endSessions(ground, 'all')
    return async () => {
      await set('RESET default_transaction_read_only')
      await endSessions(ground, 'all')
    }
  },
}

const fullHouse: Fault = {
  name: 'portal-full-house',
  about: 'Postgres has no connection left (max_connections), while those of the services end',
  lastsMs: [4_000, 10_000],
  hurts: DOCTORS,
  async inject(ground) {
    const fillers: pg.Client[] = []
    let over = false
    const fill = async () => {
      while (!over) {
        const client = new pg.Client({ connectionString: ground.world.postgres.serverUrl })
        client.on('error', () => undefined)
        await client.connect().then(
          () => fillers.push(client),
          () => delay(20),
        )
      }
    }
    const filling = [fill(), fill()]
    await delay(2_000)
    // Every place that is left is taken at once, so nobody of them gets in again. No connection is left to ask for this by.
    await Promise.all(
      fillers
        .slice(0, 1)
        .map((client) =>
          client.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'clinic-sync'`),
        ),
    )
    return async () => {
      over = true
      await Promise.all(filling)
      await Promise.all(fillers.map((client) => client.end().catch(() => undefined)))
    }
  },
}

/** What `chaos.have_a_mood` does to the sync's writes. */
const setMood = ({ portal }: Ground, mood: { sqlstate?: string; share?: number; seconds?: number }) =>
  patiently(() =>
    portal.query('UPDATE chaos.mood SET sqlstate = $1, share = $2, seconds = $3', [
      mood.sqlstate ?? null,
      mood.share ?? 0,
      mood.seconds ?? 0,
    ]),
  )

const fails = (name: string, about: string, sqlstate: string): Fault => ({
  name,
  about,
  lastsMs: [4_000, 8_000],
  async inject(ground) {
    await setMood(ground, { sqlstate, share: 0.5 })
    return async () => void (await setMood(ground, {}))
  },
})

const timeouts: Fault = {
  name: 'portal-timeout',
  about: "the sync's statements take long, and are cancelled as by statement_timeout (57014)",
  lastsMs: [6_000, 8_000],
  async inject(ground) {
    await setMood(ground, { seconds: 0.3 })
    let over = false
    const cancelling = (async () => {
      while (!over) {
        await ground.portal
          .query(
            `SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'clinic-sync' AND state = 'active'
             AND clock_timestamp() - query_start > interval '100 ms'`,
          )
          .catch(() => undefined)
        await delay(100)
      }
    })()
    return async () => {
      over = true
      await cancelling
      await setMood(ground, {})
    }
  },
}

export const PORTAL_FAULTS: readonly Fault[] = [
  cut,
  restart,
  readOnly,
  fullHouse,
  timeouts,
  fails('portal-deadlock', "half of the sync's writes are the victim of a deadlock (40P01)", '40P01'),
  fails('portal-serialization', "half of the sync's writes fail to serialize (40001)", '40001'),
]
