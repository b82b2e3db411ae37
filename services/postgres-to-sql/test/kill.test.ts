import { deadQueue, type Step } from '@clinic-sync/broker'
import type { Outcome } from '@clinic-sync/contracts'
import t from 'tap'
import { until } from '../../../packages/broker/test/support/helpers.ts'
import { testRabbit } from '../../../packages/broker/test/support/rabbit.ts'
import { treatedClinic } from './support/clinic.ts'
import { consumeHere, CONSUMER, direction, outcomesOf, publish, runProcess, tally } from './support/service.ts'

const STEPS: readonly Step[] = ['received', 'applied', 'outcomes-published', 'acked']

// Side by side, each with a clinic and queues of its own: most of their time is a process that starts.
t.jobs = STEPS.length
for (const step of STEPS) {
  t.test(`killed when a batch is ${step}: nothing is lost, nothing applied twice`, { buffered: true }, async (t) => {
    const [rabbit, clinic] = await Promise.all([testRabbit(t), treatedClinic(t)])
    const settings = { RABBITMQ_URL: rabbit.url, SQLSERVER_URL: clinic.url, LOG_LEVEL: 'debug' }
    const text = `killed at ${step}`
    const written = () => clinic.count(`SELECT COUNT(*) AS n FROM dbo.tblAlignerNotes WHERE NoteText = N'${text}'`)
    const keys = await clinic.notes(250)
    await publish(t, rabbit, await clinic.edits(keys, () => ({ note_text: text })))

    const first = runProcess(t, CONSUMER, { ...settings, CLINIC_SYNC_TEST_DIE_AT: step })
    t.equal(await first.ended, 'SIGKILL')
    const applied = await written()
    t.equal(applied > 0, step !== 'received')
    const reported = await outcomesOf(rabbit)
    if (step === 'received' || step === 'applied') t.equal(reported.length, 0, 'outcomes come after the commit')
    // The next batch may be applied while the outcomes of the first are being stored.
    else t.ok(reported.length > 0 && reported.length <= applied, `${applied} applied, ${reported.length} reported`)

    const second = await consumeHere(t, rabbit, clinic.url)
    const rest: Outcome[] = []
    await until('all are reported', async () => {
      rest.push(...(await outcomesOf(rabbit)))
      return new Set([...reported, ...rest].map(({ key }) => key)).size === 250
    })
    await second.broker.close()
    rest.push(...(await outcomesOf(rabbit)))
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
    t.equal(await written(), 250)
    // Every write of a note fires the clinic's capture trigger.
    t.equal(await clinic.count('SELECT COUNT(*) AS n FROM dbo.SyncQueue'), 250, 'each note was written once')
    t.equal((await rabbit.take(deadQueue(direction))).length, 0)
  })
}
