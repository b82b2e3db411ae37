import { deadQueue } from '@clinic-sync/broker'
import t from 'tap'
import { testBroker, until } from '../../../packages/broker/test/support/helpers.ts'
import { testRabbit } from '../../../packages/broker/test/support/rabbit.ts'
import { HEARTBEAT, startPair, timed } from '../../sql-to-postgres/test/support/takeover.ts'
import { treatedClinic } from './support/clinic.ts'
import { direction, MAIN } from './support/service.ts'

t.setTimeout(400_000)

t.test('of two consumers the active one is frozen, comes back, and the other is killed amid its work', async (t) => {
  const [rabbit, clinic] = await Promise.all([testRabbit(t), treatedClinic(t)])
  const broker = await testBroker(t, rabbit.url)
  await broker.ready()
  let sent = 0
  const written = () => clinic.count(`SELECT COUNT(*) AS n FROM dbo.tblAlignerNotes WHERE NoteText = N'from a doctor'`)
  const send = async (count: number) => {
    await broker.publishEvents(Array.from({ length: count }, () => clinic.born(-++sent, sent)))
  }
  const arrive = () => until(`${sent} are written`, async () => (await written()) === sent)
  const settings = { RABBITMQ_URL: `${rabbit.url}${HEARTBEAT}`, SQLSERVER_URL: clinic.url }
  const { active, standby } = await startPair(t, MAIN, settings, async () => {
    await send(100)
    await arrive()
  })

  // In the middle of something, wherever that is.
  await send(800)
  active.kill('SIGSTOP')
  const frozen = await timed(arrive)
  t.comment(`frozen: ${frozen} ms`)
  t.ok(frozen < 15_000, `taken over from a frozen one within ${frozen} ms: no lock of its session held anybody up`)

  active.kill('SIGCONT')
  await send(100)
  await arrive()
  await send(800)
  standby.kill('SIGKILL')
  const killed = await timed(arrive)
  t.comment(`killed: ${killed} ms`)
  t.ok(killed < 10_000, `taken over from a killed one within ${killed} ms`)
  await send(10)
  await arrive()

  // Every write of a note fires the clinic's capture trigger, and a note that is born in the portal is answered by no event.
  const again = await clinic.count(`SELECT COUNT(*) AS n FROM dbo.SyncQueue GROUP BY RecordID HAVING COUNT(*) > 1`)
  t.notOk(again > 0, 'each was written once')
  t.equal((await rabbit.take(deadQueue(direction))).length, 0)
  await clinic.run(`BEGIN TRANSACTION UPDATE dbo.tblAlignerNotes SET NoteText = N'a person'
    UPDATE dbo.SyncQueue SET LastError = NULL ROLLBACK TRANSACTION`)
  t.pass('no lock is left behind')
})
