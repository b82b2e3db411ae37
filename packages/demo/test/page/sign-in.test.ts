import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { addCase, OPERATOR_TOKEN, startPipeline } from '../pipeline/pipeline.ts'
import { holds, openPage, reads, testChromium } from './open-page.ts'

const QUIET_MS = 4_000
const pipeline = await startPipeline(t)
const browser = await testChromium(t)
const url = pipeline.ingressUrl
await addCase(pipeline.clinic, 1)
await pipeline.settled()

t.test('a wrong token opens nothing; the right one does, in a cookie that scripts cannot read', async (t) => {
  const { page, requests, complaints, signIn } = await openPage(t, browser, url)
  t.ok(await page.getByLabel('Operator token').isVisible())
  t.notOk(await page.locator('#app').isVisible(), 'nothing is shown')
  t.strictSame(
    requests.map((request) => new URL(request.url()).pathname).filter((path) => path.startsWith('/api')),
    [],
    'nothing is asked for',
  )
  await page.getByLabel('Operator token').fill('not-the-token-of-anybody')
  await page.keyboard.press('Enter')
  await reads(page, '#login-result', /not the token/)
  t.equal((await page.context().cookies()).length, 0)
  t.match(complaints, [/401/], 'the browser says what was refused')
  await signIn()
  t.notOk(await page.getByLabel('Operator token').isVisible())
  const [cookie, ...others] = await page.context().cookies()
  t.match(cookie, { httpOnly: true, sameSite: 'Strict', path: '/' })
  t.equal(others.length, 0)
  t.equal(await page.evaluate('document.cookie'), '')
  const kept = String(
    await page.evaluate('JSON.stringify([{ ...localStorage }, { ...sessionStorage }, history.state])'),
  )
  t.notOk(kept.includes(OPERATOR_TOKEN) || kept.includes(cookie?.value ?? '?'), kept)
  t.equal(await page.getByLabel('Operator token').inputValue(), '', 'the token is not kept in the form')

  await page.reload()
  await page.getByRole('button', { name: 'Sign out' }).waitFor()
  t.pass('a reload keeps the session')

  await page.getByRole('button', { name: 'Sign out' }).click()
  await reads(page, '#login-why', /You have signed out/)
  t.equal((await page.context().cookies()).length, 0)
  const before = requests.length
  await page.reload()
  t.ok(await page.getByLabel('Operator token').isVisible())
  t.notOk(requests.slice(before).some((request) => request.url().includes('/api/')))
  t.equal(complaints.length, 1, complaints.join('\n'))
})

t.test('it speaks to its own ingress only, and its policy would stop anything else', async (t) => {
  const { page, requests, complaints, signIn } = await openPage(t, browser, url)
  await signIn()
  t.strictSame([...new Set(requests.map((request) => new URL(request.url()).origin))], [url])
  t.strictSame(complaints, [])
  const tried = await page.evaluate(`Promise.all([
    fetch('http://127.0.0.1:1/').then(() => 'asked', () => 'stopped'),
    new Promise((resolve) => {
      document.addEventListener('securitypolicyviolation', ({ effectiveDirective }) => resolve(effectiveDirective))
    }),
  ])`)
  t.strictSame(tried, ['stopped', 'connect-src'])
})

t.test('a change shows by itself; while nothing changes, nothing is asked', async (t) => {
  const { page, requests, signIn } = await openPage(t, browser, url)
  await signIn()
  const portal = page.locator('#sql-to-postgres .sentence time').first()
  const before = await portal.getAttribute('datetime')
  await pipeline.clinic.request().query(`UPDATE dbo.tblpatients SET Phone = N'0770 000 0001' WHERE PersonID = 1`)
  await holds(
    page,
    `document.querySelector('#sql-to-postgres .sentence time')?.getAttribute('datetime') !== ${JSON.stringify(before)}`,
  )
  t.match(await page.locator('#sql-to-postgres').innerText(), /In sync\s+Last change \d+ s ago, took [\d.]+ m?s\./)
  await pipeline.settled()
  // What the change brings about is told for some seconds.
  await holds(page, `document.querySelector('#sql-to-postgres .state').textContent === 'In sync'`)
  await delay(QUIET_MS)
  const [asked, queries] = [requests.length, pipeline.simulator.queries()]
  const said = await portal.innerText()
  await holds(page, `document.querySelector('#sql-to-postgres .sentence time').textContent !== ${JSON.stringify(said)}`)
  await delay(QUIET_MS)
  t.equal(requests.length, asked, 'no request but the stream, which is open')
  t.equal(pipeline.simulator.queries(), queries, 'no query to the clinic')
  t.not(await portal.innerText(), said, 'the time goes on all the same')
})

t.test('the session ends: the login, and then the page where it was', async (t) => {
  const { page, signIn } = await openPage(t, browser, url)
  await signIn()
  await page.getByLabel('Key').fill('17')
  await page.getByRole('button', { name: 'Test the doorbells' }).scrollIntoViewIfNeeded()
  const place = await page.evaluate('scrollY')
  await page.context().clearCookies()
  await page.getByRole('button', { name: 'Test the doorbells' }).click()
  await reads(page, '#login-why', /Your session is over/)
  t.notOk(await page.locator('#app').isVisible())
  t.equal(await page.evaluate('document.activeElement.id'), 'token')
  await signIn()
  t.equal(await page.getByLabel('Key').inputValue(), '17')
  t.equal(await page.evaluate('scrollY'), place)
})
