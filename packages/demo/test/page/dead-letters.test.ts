import { connect } from 'amqplib'
import t from 'tap'
import { addCase, startPipeline } from '../pipeline/pipeline.ts'
import { openPage, reads, testChromium } from './open-page.ts'

const pipeline = await startPipeline(t)
const browser = await testChromium(t)
const PATIENTS = [1, 2, 3, 4]
for (const key of PATIENTS) await addCase(pipeline.clinic, key)
await pipeline.settled()

/** The portal refuses these values, until `cure`. */
const refuse = () => pipeline.portal.query(`ALTER TABLE patients ADD CONSTRAINT refused CHECK (phone NOT LIKE '0999%')`)
const cure = () => pipeline.portal.query('ALTER TABLE patients DROP CONSTRAINT refused')
const phoneOf = async (key: number) => {
  const { rows } = await pipeline.portal.query('SELECT phone FROM patients WHERE person_id = $1', [key])
  return rows[0]?.phone as string
}
const edit = (key: number, phone: string) =>
  pipeline.clinic.request().query(`UPDATE dbo.tblpatients SET Phone = N'${phone}' WHERE PersonID = ${key}`)
const lastErrorOf = async (key: number) => {
  const { recordset } = await pipeline.clinic
    .request()
    .query<{ Status: string; LastError: string | null }>(
      `SELECT TOP (1) Status, LastError FROM dbo.SyncQueue WHERE TableName = N'patients' AND RecordID = ${key} ORDER BY QueueID DESC`,
    )
  return recordset[0]
}

await refuse()
for (const key of PATIENTS) await edit(key, `0999 000 000${key}`)
await pipeline.settled()

const { page, complaints, signIn } = await openPage(t, browser, pipeline.ingressUrl)
await signIn()
const group = page.getByRole('article', { name: '23514, clinic to portal' })
const letter = (key: number) => group.locator('.letter').filter({ hasText: `patients/${key},` })
const press = (name: string, within = group) => within.getByRole('button', { name, exact: true }).click()

t.test('they are counted, grouped by cause, and named when asked for', async (t) => {
  await reads(page, '#headline', /attention/)
  await reads(page, '#dead-summary', /4 changes could not be applied, and are kept/)
  await reads(page, '#sql-to-postgres', /Not in sync\s+4 changes could not be applied: see Dead letters below/)
  t.match(await group.innerText(), /4 letters\./)
  t.equal(await group.locator('.letter').count(), 0, 'nobody is asked for them before')
  await press('Show them')
  await letter(4).waitFor()
  t.equal(await group.locator('.letter').count(), 4)
  t.match(await letter(1).innerText(), /patients\/1, version \d+: standing\. Tried 1 time, last \d\d:\d\d\./)
  t.notMatch(await page.locator('body').innerText(), /0999/, 'no value')
})

t.test('explain: what it is, why it is dead, what to do', async (t) => {
  await press('Explain', letter(1))
  await letter(1).getByText('What to do').waitFor()
  t.match(await letter(1).innerText(), /The state of patients\/1 at version \d+\..*23514/s)
  await press('Explain', letter(1))
  await letter(1).getByText('What to do').waitFor({ state: 'detached' })
  t.pass('and away again')
})

t.test('rehearse: what would come of it, and nothing of it stays', async (t) => {
  await press('Rehearse', letter(1))
  await letter(1).getByText('It would not go through now. Nothing of it has stayed.').waitFor()
  t.match(await letter(1).innerText(), /patients\/1 would fail: 23514/)
  await press('Rehearse all')
  await group.getByText('0 of 4 letters would go through now.').waitFor()
  await cure()
  await press('Rehearse', letter(2))
  await letter(2).getByText('It would go through now. Nothing of it has stayed.').waitFor()
  t.match(await letter(2).innerText(), /It would change: phone\b/)
  t.not(await phoneOf(2), '0999 000 0002')
})

t.test('discard asks who and why; Escape is no, and the focus goes back', async (t) => {
  const button = letter(1).getByRole('button', { name: 'Discard', exact: true })
  await button.focus()
  await page.keyboard.press('Enter')
  const dialog = page.getByRole('dialog', { name: 'Discard patients/1?' })
  await dialog.waitFor()
  t.equal(await page.evaluate('document.activeElement.id'), 'dialog-who')
  for (let i = 0; i < 8; i++) {
    await page.keyboard.press('Tab')
    t.ok(
      await page.evaluate(
        `document.activeElement === document.body || document.activeElement.closest('dialog') !== null`,
      ),
    )
  }
  await dialog.getByLabel('Who discards').focus()
  await page.keyboard.press('Enter')
  t.ok(await dialog.isVisible(), 'nothing is discarded by nobody for no reason')
  await page.keyboard.press('Escape')
  await dialog.waitFor({ state: 'hidden' })
  t.ok(await button.evaluate((element) => element.ownerDocument.activeElement === element))
  t.equal(await page.locator('#dead-result').innerText(), '')
  t.notMatch((await lastErrorOf(1))?.LastError, /DISCARDED/)

  await page.keyboard.press('Enter')
  await page.keyboard.type('Noor')
  await page.keyboard.press('Tab')
  await page.keyboard.type('a test number')
  await page.keyboard.press('Enter')
  await reads(page, '#dead-result', /^1 dead letter discarded\.$/)
  t.match(await lastErrorOf(1), { Status: 'Failed', LastError: /SYNC_DISCARDED.*Noor.*a test number/ })
  await letter(1).waitFor({ state: 'detached' })
  const connection = await connect(pipeline.rabbitUrl)
  const channel = await connection.createChannel()
  t.equal((await channel.checkQueue('sync.discarded')).messageCount, 1, 'it is kept')
  await connection.close()
})

t.test('replay: one, and then all that are left; each asks before', async (t) => {
  await press('Replay', letter(2))
  const dialog = page.getByRole('dialog', { name: 'Replay patients/2?' })
  t.equal(await page.evaluate('document.activeElement.id'), 'dialog-cancel', 'a stray Enter replays nothing')
  await dialog.getByRole('button', { name: 'Replay' }).click()
  await reads(page, '#dead-result', /^1 dead letter replayed: 1 applied\.$/)
  t.equal(await phoneOf(2), '0999 000 0002')
  await letter(2).waitFor({ state: 'detached' })
  t.equal(await group.locator('.letter').count(), 2)

  await press('Replay all')
  await page.getByRole('dialog', { name: 'Replay 2 dead letters?' }).getByRole('button', { name: 'Replay' }).click()
  await reads(page, '#dead-result', /^2 dead letters replayed: 2 applied\.$/)
  t.strictSame([await phoneOf(3), await phoneOf(4)], ['0999 000 0003', '0999 000 0004'])
  await group.waitFor({ state: 'detached' })
  await reads(page, '#dead-summary', /None: everything could be applied/)
  await reads(page, '#headline', /In sync/)
})

t.test('a replay that fails again says where it has stopped; discard all gives the rest up', async (t) => {
  await pipeline.portal.query(`UPDATE patients SET phone = '0770'`)
  await refuse()
  for (const key of PATIENTS) await edit(key, `0999 111 111${key}`)
  await group.waitFor()
  await pipeline.settled()
  await press('Replay all')
  await page.getByRole('dialog').getByRole('button', { name: 'Replay' }).click()
  await reads(page, '#dead-result', /Stopped: patients\/\d is dead again: 23514/)
  await press('Discard all')
  const dialog = page.getByRole('dialog', { name: 'Discard 4 dead letters?' })
  t.equal(await dialog.getByLabel('Who discards').inputValue(), 'Noor', 'who did so before')
  await dialog.getByLabel('Why', { exact: true }).fill('numbers of a test')
  await dialog.getByRole('button', { name: 'Discard' }).click()
  await reads(page, '#dead-result', /^4 dead letters discarded\.$/)
  for (const key of PATIENTS) t.match(await lastErrorOf(key), { Status: 'Failed', LastError: /numbers of a test/ })
  await group.waitFor({ state: 'detached' })
  t.strictSame(complaints, [])
})
