import { deadQueue, type Step } from '@clinic-sync/broker'
import type { Outcome } from '@clinic-sync/contracts'
import { openPortal } from '@clinic-sync/portal'
import t from 'tap'
import { keepLines, until } from '../../../packages/broker/test/support/helpers.ts'
import { testRabbit } from '../../../packages/broker/test/support/rabbit.ts'
import { consumeInto, publish, range, takeOutcomes, tally } from './support/consuming.ts'
import { patient } from './support/events.ts'
import { countWrites, testPortal } from './support/postgres.ts'
import { runProcess } from './support/service.ts'

const direction = 'sql-to-postgres'
const STEPS: readonly Step[] = ['received', 'applied', 'outcomes-published', 'acked']

// Side by side, each with a portal and queues of its own: most of their time is a process that starts.
t.jobs = STEPS.length
for (const step of STEPS) {
  t.test(`killed when a batch is ${step}: nothing is lost, nothing applied twice`, { buffered: true }, async (t) => {
    const [rabbit, postgres] = await Promise.all([testRabbit(t), testPortal(t)])
    await countWrites(postgres)
    const written = async (table: string) =>
      Number((await postgres.query(`SELECT count(*) FROM public.${table}`))[0]?.count)
    await publish(
      t,
      rabbit,
      range(1, 250).map((key) => patient(key, key)),
    )

    const settings = { RABBITMQ_URL: rabbit.url, POSTGRES_URL: postgres.url, LOG_LEVEL: 'debug' }
    const first = runProcess(t, 'consumer-process.ts', { ...settings, CLINIC_SYNC_TEST_DIE_AT: step })
    t.equal(await first.ended, 'SIGKILL')
    const applied = await written('patients')
    t.equal(applied > 0, step !== 'received')
    const reported = await takeOutcomes(rabbit, direction)
    if (step === 'received' || step === 'applied') t.equal(reported.length, 0, 'outcomes come after the commit')
    // The next batch may be applied while the outcomes of the first are being stored.
    else t.ok(reported.length > 0 && reported.length <= applied, `${applied} applied, ${reported.length} reported`)

    const portal = await openPortal({ url: postgres.url, log: keepLines() })
    const second = await consumeInto(t, rabbit, direction, portal)
    const rest: Outcome[] = []
    await until('all are reported', async () => {
      rest.push(...(await takeOutcomes(rabbit, direction)))
      return new Set([...reported, ...rest].map(({ key }) => key)).size === 250
    })
    await second.broker.close()
    rest.push(...(await takeOutcomes(rabbit, direction)))
    const { duplicate = 0, ...others } = tally(rest)
    t.strictSame(others, applied === 250 ? {} : { applied: 250 - applied })
    // An acknowledgement may still have been on its way.
    const again = {
      received: [0],
      applied: [applied],
      'outcomes-published': [applied],
      acked: [applied - reported.length, applied],
    }
    t.ok(again[step].includes(duplicate), `${duplicate} came again as duplicates`)
    t.equal(await written('patients'), 250)
    t.equal(await written('writes'), 250, 'each row was written once')
    t.equal((await rabbit.take(deadQueue(direction))).length, 0)
  })
}
