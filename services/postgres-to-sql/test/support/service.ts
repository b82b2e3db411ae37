import { openClinic } from '@clinic-sync/clinic'
import { pino } from 'pino'
import type { Test } from 'tap'
import type { TestRabbit } from '../../../../packages/broker/test/support/rabbit.ts'
import { consumeInto, takeOutcomes } from '../../../sql-to-postgres/test/support/consuming.ts'

export { publish, tally } from '../../../sql-to-postgres/test/support/consuming.ts'
export { freePort, runProcess } from '../../../sql-to-postgres/test/support/service.ts'

export const direction = 'postgres-to-sql'

/** Files of this service that run as processes of their own. */
export const MAIN = new URL('../../src/main.ts', import.meta.url).href
export const CONSUMER = new URL('consumer-process.ts', import.meta.url).href

/** The consumer in this process. */
export async function consumeHere(t: Test, rabbit: TestRabbit, url: string, patienceMs?: number) {
  const clinic = await openClinic({ url, timeZone: 'Asia/Baghdad', log: pino({ level: 'silent' }) })
  return consumeInto(t, rabbit, direction, clinic, patienceMs)
}

/** Takes the outcomes that have been reported since the last time. */
export const outcomesOf = (rabbit: TestRabbit) => takeOutcomes(rabbit, direction)
