import t from 'tap'
import { addCase, preparePipeline } from '../pipeline/pipeline.ts'
import { openPage, reads, testChromium } from './open-page.ts'

const CLINICS = 'Delivery moved to Sunday'
const DOCTORS = 'Delivery on Monday?'

const prepared = await preparePipeline(t)
const { clinic, portal } = prepared
const first = await prepared.start()
await addCase(clinic, 1)
const { recordset } = await clinic.request().query<{ id: number }>(
  `INSERT INTO dbo.tblAlignerNotes (AlignerSetID, NoteType, NoteText) VALUES (1, 'Doctor', N'Delivery on Saturday');
   SELECT CAST(SCOPE_IDENTITY() AS int) AS id`,
)
const note = recordset[0]?.id ?? 0
await first.until('the note arrives', async () => {
  const { rowCount } = await portal.query('SELECT FROM aligner_notes WHERE note_id = $1', [note])
  return rowCount === 1
})
await first.settled()
// Both change it before either hears of the other's.
await first.stop()
await clinic.request().query(`UPDATE dbo.tblAlignerNotes SET NoteText = N'${CLINICS}' WHERE NoteID = ${note}`)
await portal.query('UPDATE aligner_notes SET note_text = $1 WHERE note_id = $2', [DOCTORS, note])
const pipeline = await prepared.start()
await pipeline.settled()

const browser = await testChromium(t)
const { page, complaints, requests, signIn } = await openPage(t, browser, pipeline.ingressUrl)
await signIn()
const press = (name: string) => page.getByRole('button', { name, exact: true }).click()
const body = () => page.locator('body').innerText()

t.test('conflicts: listed without values; a row shows its own, and hides them again', async (t) => {
  await press('Show conflicts')
  await reads(page, '#conflicts-result', /^1 conflict shown\.$/)
  const row = page
    .locator('#conflicts')
    .getByRole('row')
    .filter({ hasText: `aligner_notes/${note}` })
    .first()
  t.match(await row.innerText(), /note_text\s+the clinic’s value stands/)
  t.notMatch(await body(), /Sunday|Monday|Saturday/)
  const button = row.getByRole('button', { name: 'Show values' })
  await button.click()
  const values = page.getByRole('table', { name: `Values of aligner_notes/${note}` })
  await values.waitFor()
  t.strictSame(await values.getByRole('row').last().getByRole('cell').allInnerTexts(), [
    CLINICS,
    DOCTORS,
    'Delivery on Saturday',
  ])
  await row.getByRole('button', { name: 'Hide values' }).click()
  await values.waitFor({ state: 'detached' })
  t.notMatch(await page.content(), /Sunday|Monday|Saturday/, 'not even in what is not seen')
})

t.test('a record’s story; values only where they are asked for', async (t) => {
  await page.getByLabel('Table', { exact: true }).fill('aligner_notes')
  await page.getByLabel('Key', { exact: true }).fill(String(note))
  await page.keyboard.press('Enter')
  await reads(page, '#record-result', new RegExp(`^aligner_notes/${note}:$`))
  t.match(await page.locator('#record-story').innerText(), /In short\s+\S/)
  t.notMatch(await body(), /Sunday|Monday|Saturday/)
  await page.getByLabel(/with values/).check()
  await press('Look up')
  await page.locator('#record-story').getByText(CLINICS).first().waitFor()
  t.ok(await page.locator('#record-story').getByRole('rowheader', { name: 'note_text' }).count())
  await page.getByLabel('Table', { exact: true }).fill('no_such_table')
  await press('Look up')
  await reads(page, '#record-result', /^(?!Asking).*table/i)
  t.equal(await page.locator('#record-story').innerText(), '', 'what was shown is gone')
})

t.test('verify: compares both databases; what differs is said', async (t) => {
  await press('Verify now')
  await reads(page, '#verify-result', /^Compared: 0 of \d+ rows differ\.$/)
  for (const direction of ['sql-to-postgres', 'postgres-to-sql'])
    await reads(page, `#${direction}`, /Verified through \d\d:\d\d, 0 of \d+ rows differ\./)
  // Behind the system's back.
  await portal.query(
    `SET session_replication_role = replica; UPDATE patients SET phone = 'planted'; RESET session_replication_role`,
  )
  await press('Verify now')
  await reads(page, '#verify-result', /^Compared: 1 of \d+ rows differs\.$/)
  await reads(page, '#headline', /attention/)
  t.match(await page.getByRole('row').filter({ hasText: 'patients' }).first().innerText(), /patients\s+1\s+1\s+1/)
  t.notMatch(await body(), /planted/)
  await clinic.request().query(`UPDATE dbo.tblpatients SET Phone = N'0770' WHERE PersonID = 1`)
  await pipeline.settled()
  await press('Verify now')
  await reads(page, '#verify-result', /^Compared: 0 of \d+ rows differ\.$/)
  await reads(page, '#headline', /In sync/)
})

t.test('doorbells are rung and heard; versions', async () => {
  await press('Test the doorbells')
  await reads(
    page,
    '#bells-result',
    /The clinic’s doorbell \(service-broker\) was heard after \d+ ms\.\s+The portal’s doorbell \(listen\) was heard after \d+ ms\./,
  )
  await press('Show versions')
  await reads(page, '#versions', /clinic-sync\s+\d+\.\d+\.\d+[^]*Node\.js\s+v?\d+/)
})

t.test('whoever signs out leaves nothing on the screen', async (t) => {
  await page.getByRole('button', { name: 'Sign out' }).click()
  await reads(page, '#login-why', /signed out/)
  t.notMatch(await page.content(), /Sunday|Monday|Saturday/)
  t.ok(requests.every((request) => request.url().startsWith(pipeline.ingressUrl)))
  // Of a table that does not exist.
  t.ok(complaints.every((complaint) => /status of 4/.test(complaint)) && complaints.length <= 1, complaints.join('\n'))
})

t.test('where no doorbell rings, an outbox is looked at by hand', async (t) => {
  await pipeline.stop()
  const deaf = await prepared.start('info', { CLINIC_DOORBELL: 'none', PORTAL_DOORBELL: 'none' })
  const opened = await openPage(t, browser, deaf.ingressUrl)
  await opened.signIn()
  await clinic.request().query(`UPDATE dbo.tblpatients SET Phone = N'0771' WHERE PersonID = 1`)
  await portal.query(`UPDATE aligner_notes SET note_text = 'again' WHERE note_id = ${note}`)
  const look = async (side: string, words: RegExp) => {
    await opened.page.getByRole('button', { name: `Look in the ${side}’s outbox` }).click()
    await reads(opened.page, '#bells-result', words)
  }
  await look('clinic', /The clinic’s outbox was looked at: 1 change sent to the portal\./)
  await deaf.until('it arrives', async () => {
    const { rows } = await portal.query('SELECT phone FROM patients WHERE person_id = 1')
    return rows[0]?.phone === '0771'
  })
  await look('portal', /The portal’s outbox was looked at: 1 change sent to the clinic\./)
  await deaf.until('it arrives', async () => {
    const found = await clinic
      .request()
      .query<{ NoteText: string }>(`SELECT NoteText FROM dbo.tblAlignerNotes WHERE NoteID = ${note}`)
    return found.recordset[0]?.NoteText === 'again'
  })
  t.strictSame(opened.complaints, [])
})
