import type { SyncStatus } from '@clinic-sync/contracts'
import { managementCall } from '@clinic-sync/dev-services'
import t from 'tap'
import { alertsWorld, QUIET_MS } from './support/alerts-world.ts'
import { pause, TOKEN, until } from './support/whole-sync.ts'

t.test('events that nobody ever answers for, a doorbell that is switched off, a receiver that is down', async (t) => {
  const world = await alertsWorld(t)
  const { receiver, vhost, simulator, clinicSql, said, startIngress, startConsumers, endConsumers } = world
  const { url } = await startIngress()
  await clinicSql("INSERT INTO dbo.AlignerDoctors (DoctorName) VALUES (N'Dr. Layla')")
  const headers = { authorization: `Bearer ${TOKEN}` }
  const ask = async () => (await (await fetch(`${url}/api/sync/status`, { headers })).json()) as SyncStatus
  await until('it is sent', async () => {
    const { clinic } = (await ask()).outboxes
    return clinic.reachable && clinic.rows.Queued === 1
  })
  for (let partition = 0; partition < 4; partition++)
    await managementCall(
      vhost.managementUrl,
      'DELETE',
      `queues/${vhost.name}/sync.sql-to-postgres.p${partition}/contents`,
    )
  await startConsumers()
  await until('that its outcome is missing is told', () => said().length === 1)
  t.match(receiver.got, [
    {
      condition: 'stalled',
      direction: 'sql-to-postgres',
      problems: [/1 change of the clinic's has been sent and got no outcome/],
    },
  ])
  // While it lasts the outbox is asked again, with pauses: not at each look.
  const before = simulator.queries()
  await pause(2_000)
  const asked = simulator.queries() - before
  t.ok(asked >= 1 && asked <= 20, `asked ${asked} times`)
  t.equal(said().length, 1)
  await clinicSql("UPDATE dbo.AlignerDoctors SET DoctorName = N'Dr. Layla H'")
  await until('its end is told', () => said().length === 2)
  t.strictSame(said(), ['stalled sql-to-postgres problem', 'stalled sql-to-postgres recovered'])

  receiver.answer = 503
  receiver.got.length = 0
  await clinicSql('ALTER DATABASE [clinic] SET DISABLE_BROKER WITH ROLLBACK IMMEDIATE')
  await until('it is tried again and again', () => receiver.got.length >= 3)
  t.equal(new Set(receiver.got.map(({ id }) => id)).size, 1)
  t.match(receiver.got[0], { condition: 'doorbell', side: 'clinic', state: 'problem' })
  const status = await ask()
  t.match(status.problems.join('\n'), /The ingress lacks alerts: ALERT_WEBHOOK_URL: it answered HTTP 503/)
  t.equal((await fetch(`${url}/readyz`)).status, 503, 'for its doorbell')
  receiver.answer = 200
  await clinicSql('ALTER DATABASE [clinic] SET ENABLE_BROKER WITH ROLLBACK IMMEDIATE')
  await until('its end arrives', () => said().at(-1) === 'doorbell recovered')
  await pause(QUIET_MS)
  t.equal(said().filter((each) => each === 'doorbell recovered').length, 1)
  t.equal((await fetch(`${url}/readyz`)).status, 200)
  await endConsumers()
})
