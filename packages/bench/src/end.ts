import { DIRECTIONS, deadQueue, UNROUTED } from '@clinic-sync/broker'
import { openClinic } from '@clinic-sync/clinic'
import { compareSides } from '@clinic-sync/demo'
import { openPortal } from '@clinic-sync/portal'
import { createLogger } from '@clinic-sync/runtime'
import { connect } from 'amqplib'
import { type Side, untilSettled } from './measures/outboxes.ts'
import type { Problem } from './results.ts'
import { SERVICES } from './stage/crew.ts'
import type { Stage } from './stage/stage.ts'

const SIDES: readonly Side[] = ['clinic', 'portal']
/** As the services are told (stage/crew.ts). */
const TIME_ZONE = 'Asia/Baghdad'

/**
 * Whether what was measured was the whole work: nothing is under way, failed or dead, and both sides are equal. A pipeline that
 * loses changes is fast.
 *
 * @returns what is wrong: keys and columns, never values
 */
export async function problemsAtEnd(stage: Stage): Promise<Problem[]> {
  const looks: readonly (readonly [string, () => Promise<readonly string[]>])[] = [
    ['services', () => notReady(stage)],
    ['durability', () => notDurable(stage)],
    ['outboxes', () => unsettled(stage)],
    ['dead letters', () => deadLetters(stage)],
    ['both sides', () => differences(stage)],
  ]
  const problems: Problem[] = []
  for (const [where, look] of looks) {
    const found = await look().catch((error: unknown) => [error instanceof Error ? error.message : String(error)])
    problems.push(...found.map((what) => ({ where, round: 0, what })))
  }
  return problems
}

/** Whoever has ended by itself, or lacks something. */
async function notReady({ crew }: Stage): Promise<string[]> {
  const looks = SERVICES.map(async (service) => {
    const answer = await fetch(`${await crew.addressOf(service)}/readyz`).catch(() => undefined)
    await answer?.body?.cancel()
    if (answer?.ok) return []
    return [`${service} ${answer === undefined ? 'does not answer' : 'is not ready'}.`]
  })
  return (await Promise.all(looks)).flat()
}

/** A server that forgets is fast as well. */
async function notDurable({ portal }: Stage): Promise<string[]> {
  const wrong: string[] = []
  for (const setting of ['fsync', 'synchronous_commit', 'full_page_writes']) {
    const { rows } = await portal.query<Record<string, string>>(`SHOW ${setting}`)
    const value = rows[0]?.[setting]
    if (value !== 'on') wrong.push(`Postgres has ${setting} ${value}.`)
  }
  return wrong
}

/** What is on its way arrives, as long as everybody is up. Whatever is `Failed` is not. */
async function unsettled(stage: Stage): Promise<string[]> {
  for (const side of SIDES) await untilSettled(stage, side, 0)
  const { rows } = await stage.portal.query("SELECT 1 FROM sync.queue WHERE status = 'Failed'")
  const { recordset } = await stage.clinic.request().query("SELECT QueueID FROM dbo.SyncQueue WHERE Status = N'Failed'")
  return [
    ...(recordset.length > 0 ? [`${recordset.length} changes of the clinic failed.`] : []),
    ...(rows.length > 0 ? [`${rows.length} changes of the portal failed.`] : []),
  ]
}

async function deadLetters({ addresses }: Stage): Promise<string[]> {
  const model = await connect(addresses.rabbit)
  try {
    const channel = await model.createChannel()
    const found: string[] = []
    for (const queue of [...DIRECTIONS.map(deadQueue), UNROUTED]) {
      const { messageCount } = await channel.checkQueue(queue)
      if (messageCount > 0) found.push(`${messageCount} messages are in ${queue}.`)
    }
    return found
  } finally {
    await model.close()
  }
}

async function differences({ addresses }: Stage): Promise<string[]> {
  const log = createLogger({ name: 'bench', level: 'silent' })
  const clinic = await openClinic({ url: addresses.clinic, timeZone: TIME_ZONE, log })
  const portal = await openPortal({ url: addresses.portal, log })
  try {
    const tables = await compareSides(clinic, portal)
    if (tables.every(({ values }) => values === 0)) return []
    return tables.flatMap(({ table, differences: found }) => {
      const [first] = found
      return first === undefined ? [] : [`${table}: ${found.length} records differ, ${first.key} is ${first.kind}.`]
    })
  } finally {
    await Promise.all([clinic.close(), portal.close()])
  }
}
