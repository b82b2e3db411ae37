import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { wireTo } from '@clinic-sync/dev-services/testing'
import t from 'tap'
import { freePort, startChild } from '../../src/run/child.ts'
import { addCase, OPERATOR_TOKEN, preparePipeline, WEBHOOK_SECRET } from '../pipeline/pipeline.ts'
import { openPage, reads, testChromium } from './open-page.ts'

const browser = await testChromium(t)

t.test('the clinic, the portal, RabbitMQ go and come back: the page works, and says each', async (t) => {
  const prepared = await preparePipeline(t)
  const clinic = await wireTo(t, prepared.simulator.serviceUrl)
  const portal = await wireTo(t, prepared.portalUrl)
  const rabbit = await wireTo(t, prepared.rabbitUrl)
  const settings = { SQLSERVER_URL: clinic.url, POSTGRES_URL: portal.url, RABBITMQ_URL: rabbit.url }
  const pipeline = await prepared.start('info', settings)
  await addCase(pipeline.clinic, 1)
  await pipeline.settled()
  const { page, signIn } = await openPage(t, browser, pipeline.ingressUrl)
  await signIn()
  await reads(page, '#headline', /In sync/)
  const back = async () => {
    await reads(page, '#headline', /^In sync/)
    t.equal(await page.locator('#problems li').count(), 0)
  }
  const phone = async (value: string) =>
    void (await pipeline.clinic.request().query(`UPDATE dbo.tblpatients SET Phone = N'${value}' WHERE PersonID = 1`))
  const arrived = (value: string) =>
    pipeline.until('it arrives', async () => {
      const { rows } = await pipeline.portal.query('SELECT phone FROM patients WHERE person_id = 1')
      return rows[0]?.phone === value
    })

  clinic.cut()
  await reads(page, '#headline', /attention/)
  await reads(page, '#problems', /clinic's outbox cannot be read/)
  await reads(page, '#sql-to-postgres', /Not known.*clinic’s database does not answer/s)
  await reads(page, '#postgres-to-sql', /Held up.*clinic’s database does not answer/s)
  await reads(page, '#runs', /clinic's SQL Server\s+does not answer/)
  await page.getByRole('button', { name: 'Look in the clinic’s outbox' }).click()
  await reads(page, '#bells-result', /clinic/)
  clinic.mend()
  await back()

  portal.cut()
  await reads(page, '#problems', /portal's outbox cannot be read/)
  await reads(page, '#postgres-to-sql', /Not known.*portal’s database does not answer/s)
  await reads(page, '#sql-to-postgres', /Held up.*portal’s database does not answer/s)
  await phone('0770 000 0002')
  await reads(page, '#sql-to-postgres', /1 change waits/)
  portal.mend()
  await arrived('0770 000 0002')
  await back()

  rabbit.cut()
  await reads(page, '#problems', /RabbitMQ cannot be asked/)
  for (const direction of ['sql-to-postgres', 'postgres-to-sql'])
    await reads(page, `#${direction}`, /Held up.*RabbitMQ, which carries the changes, does not answer/s)
  await reads(page, '#dead-summary', /RabbitMQ does not answer/)
  await phone('0770 000 0003')
  rabbit.mend()
  await arrived('0770 000 0003')
  await back()
})

t.test('everything is down, and then the ingress as well; it comes back, and the page with it', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'clinic-sync-page-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const port = await freePort()
  const start = async () => {
    const ingress = startChild({
      name: 'ingress',
      script: 'services/ingress/src/main.ts',
      settings: {
        // Nothing listens at port 1.
        SQLSERVER_URL: 'mssql://sync:x@127.0.0.1:1/clinic?encrypt=false',
        POSTGRES_URL: 'postgres://sync:x@127.0.0.1:1/portal',
        RABBITMQ_URL: 'amqp://sync:x@127.0.0.1:1',
        CLINIC_TIME_ZONE: 'Asia/Baghdad',
        SYNC_WEBHOOK_SECRET: WEBHOOK_SECRET,
        SYNC_OPERATOR_TOKEN: OPERATOR_TOKEN,
        INGRESS_PORT: String(port),
      },
      folder,
    })
    t.teardown(() => ingress.stop())
    await listens(port)
    return ingress
  }
  const ingress = await start()
  const { page, signIn } = await openPage(t, browser, `http://127.0.0.1:${port}`)
  await signIn()
  await reads(page, '#headline', /things need attention/)
  await reads(page, '#meaning', /nothing has to be entered twice/)
  for (const words of [/clinic's outbox cannot be read/, /portal's outbox cannot be read/, /RabbitMQ cannot be asked/])
    await reads(page, '#problems', words)
  for (const direction of ['sql-to-postgres', 'postgres-to-sql']) await reads(page, `#${direction}`, /Not known/)
  for (const [button, result, words] of [
    ['Test the doorbells', '#bells-result', /was not heard. Not connected to RabbitMQ/],
    ['Look in the clinic’s outbox', '#bells-result', /outbox: not connected to RabbitMQ/],
    ['Verify now', '#verify-result', /ended before all was compared|cannot be told: \S/],
  ] as const) {
    await page.getByRole('button', { name: button }).click()
    await reads(page, result, words)
    t.pass(`${button}: ${await page.locator(result).innerText()}`)
  }

  await ingress.stop()
  await reads(page, '#lost', /lost its connection to the ingress since \d\d:\d\d: what you see is from then/)
  t.equal(await page.getByRole('alert').count(), 1)
  await reads(page, '#headline', /attention/)
  await page.getByRole('button', { name: 'Test the doorbells' }).click()
  await reads(page, '#bells-result', /cannot be reached/)
  const asked = await page.locator('#told').innerText()
  await start()
  await page.locator('#lost').waitFor({ state: 'hidden' })
  t.ok(await page.getByRole('button', { name: 'Sign out' }).isVisible(), `nobody has to sign in again (${asked})`)
})

async function listens(port: number): Promise<void> {
  const deadline = performance.now() + 30_000
  while (
    !(await fetch(`http://127.0.0.1:${port}/healthz`).then(
      ({ ok }) => ok,
      () => false,
    ))
  ) {
    if (performance.now() > deadline) throw new Error('the ingress does not listen')
    await delay(50)
  }
}
