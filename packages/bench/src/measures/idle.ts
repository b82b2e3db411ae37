import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import type { Figure, Measure } from '../measure.ts'
import { SERVICES } from '../stage/crew.ts'
import { filled } from '../stage/filled.ts'
import { inMode } from '../stage/mode.ts'
import { cpuSeconds, memoryOf } from '../stage/process.ts'
import type { Stage } from '../stage/stage.ts'
import { purge } from './outboxes.ts'

/** Postgres adds a session's last transactions to its statistics up to ten seconds later. */
const STATISTICS = 11_000

/**
 * Everything up, and nobody types. Queries: what the simulator has received, and the transactions of the portal's database, looked at
 * from another one, with autovacuum off for that time. Nothing is scraped.
 */
export const idle: Measure = {
  name: 'idle',
  when: 'once',
  prepare: (stage, scale) => filled(stage, scale),
  async run(stage, { idleSeconds }): Promise<Figure[]> {
    await inMode(stage, 'default')
    await purge(stage)
    const look = await lookAtPortal(stage)
    try {
      return await quiet(stage, idleSeconds, look.transactions)
    } finally {
      await look.end()
    }
  },
}

async function quiet(stage: Stage, seconds: number, transactions: () => Promise<number>): Promise<Figure[]> {
  const { crew, server } = stage
  await sleep(2 * STATISTICS)
  const cpu = () => Promise.all(SERVICES.map((service) => cpuSeconds(crew, service)))
  const since = performance.now()
  const before = { clinic: await server.queries(), portal: await transactions(), cpu: await cpu() }
  await sleep(seconds * 1_000)
  const passed = (performance.now() - since) / 1_000
  const after = { clinic: await server.queries(), cpu: await cpu() }
  const memory = await Promise.all(SERVICES.map((service) => memoryOf(crew, service)))
  // What the last seconds held comes to light after them.
  await sleep(STATISTICS)
  const minutes = { clinic: passed / 60, portal: (performance.now() - since) / 60_000 }
  crew.check()
  return [
    {
      name: 'idle: queries to the clinic',
      unit: 'a minute',
      better: 'less',
      value: (after.clinic - before.clinic) / minutes.clinic,
    },
    {
      name: 'idle: transactions in the portal',
      unit: 'a minute',
      better: 'less',
      value: ((await transactions()) - before.portal) / minutes.portal,
    },
    ...SERVICES.flatMap((service, i): Figure[] => [
      {
        name: `idle: processor time of ${service}`,
        unit: '%',
        better: 'less',
        value: (((after.cpu[i] ?? Number.NaN) - (before.cpu[i] ?? Number.NaN)) * 100) / passed,
      },
      { name: `idle: memory of ${service}`, unit: 'MB', better: 'less', value: memory[i] ?? Number.NaN },
    ]),
  ]
}

/** Counts the portal's transactions from another database of its server, and keeps Postgres itself from adding any. */
async function lookAtPortal({ addresses }: Stage) {
  const { pathname } = new URL(addresses.portal)
  const client = new pg.Client({
    connectionString: Object.assign(new URL(addresses.portal), { pathname: '/postgres' }).href,
  })
  client.on('error', () => undefined)
  await client.connect()
  const reload = async (statement: string) => {
    await client.query(statement)
    await client.query('SELECT pg_reload_conf()')
  }
  await reload('ALTER SYSTEM SET autovacuum = off')
  return {
    async transactions() {
      const { rows } = await client.query<{ n: string }>(
        'SELECT xact_commit + xact_rollback AS n FROM pg_stat_database WHERE datname = $1',
        [decodeURIComponent(pathname.slice(1))],
      )
      return Number(rows[0]?.n)
    },
    async end() {
      await reload('ALTER SYSTEM RESET autovacuum')
      await client.end()
    },
  }
}
