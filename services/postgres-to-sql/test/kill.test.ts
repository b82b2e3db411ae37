import { deadQueue, type Step } from '@clinic-sync/broker'
import type { Outcome } from '@clinic-sync/contracts'
import t from 'tap'
import { until } from '../../../packages/broker/test/support/helpers.ts'
import { testRabbit } from '../../../packages/broker/test/support/rabbit.ts'
import { runProcess } from '../../sql-to-postgres/test/support/service.ts'
import { treatedClinic } from './support/clinic.ts'
import { CONSUMER, consumeHere, direction, outcomesOf, publish, tally } from './support/service.ts'

const [rabbit, clinic] = await Promise.all([testRabbit(t), treatedClinic(t)])
const settings = { RABBITMQ_URL: rabbit.url, SQLSERVER_URL: clinic.url, LOG_LEVEL: 'debug' }
const STEPS: readonly Step[] = ['received', 'applied', 'outcomes-published', 'acked']

for (const step of STEPS) {
  t.test(`killed when a batch is ${step}: nothing is lost, nothing applied twice`, async (t) => {
    const text = `killed at ${step}`
    const written = () => clinic.count(`SELECT COUNT(*) AS n FROM dbo.tblAlignerNotes WHERE NoteText = N'${text}'`)
    const keys = await clinic.notes(250)
    await publish(t, rabbit, await clinic.edits(keys, () => ({ note_text: text })))

    const first = runProcess(t, CONSUMER, { ...settings, CLINIC_SYNC_TEST_DIE_AT: step })
    t.equal(await first.ended, 'SIGKILL')
    const applied = await written()
    t.equal(applied > 0, step !== 'received')
    const reported = await outcomesOf(rabbit)
    t.equal(reported.length, step === 'received' || step === 'applied' ? 0 : applied, 'outcomes come after the commit')

    const second = await consumeHere(t, rabbit, clinic.url)
    const rest: Outcome[] = []
    // What was acknowledged had been reported before, and does not come again.
    const expected = step === 'acked' ? 250 - applied : 250
    await until('all are reported', async () => rest.push(...(await outcomesOf(rabbit))) >= expected)
    await second.close()
    rest.push(...(await outcomesOf(rabbit)))
    const duplicates = step === 'applied' || step === 'outcomes-published' ? { duplicate: applied } : {}
    const fresh = 250 - applied
    t.strictSame(tally(rest), { ...(fresh > 0 && { applied: fresh }), ...duplicates })
    t.equal(await written(), 250)
    // Every write of a note fires the clinic's capture trigger.
    t.equal(await clinic.count('SELECT COUNT(*) AS n FROM dbo.SyncQueue'), 250, 'each note was written once')
    t.equal((await rabbit.take(deadQueue(direction))).length, 0)
  })
}
