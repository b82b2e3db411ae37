import type { Page } from 'playwright-core'
import t from 'tap'
import { addCase, OPERATOR_TOKEN, startPipeline } from '../pipeline/pipeline.ts'
import { TOO_FAINT } from './contrast.ts'
import { openPage, reads, testChromium } from './open-page.ts'

const pipeline = await startPipeline(t)
const browser = await testChromium(t)
const url = pipeline.ingressUrl
await addCase(pipeline.clinic, 1)
await pipeline.settled()

const widthOf = (page: Page) => page.evaluate('document.documentElement.scrollWidth')

t.test('by keyboard alone: in, around, and out', async (t) => {
  const { page, complaints } = await openPage(t, browser, url)
  const focused = () =>
    page.evaluate(`(() => {
    const { id, tagName, textContent } = document.activeElement
    return id || tagName + ' ' + textContent.trim().slice(0, 30)
  })()`)
  t.equal(await focused(), 'token', 'the page begins where one types')
  await page.keyboard.type(OPERATOR_TOKEN)
  await page.keyboard.press('Enter')
  await reads(page, '#headline', /In sync/)
  t.equal(await focused(), 'main', 'and goes on at its content')
  const reached: unknown[] = []
  for (let i = 0; i < 40; i++) {
    await page.keyboard.press('Tab')
    const name = await focused()
    if (String(name).startsWith('BODY')) break
    reached.push(name)
    const seen = await page.evaluate(`(() => {
      const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement)
      const { top, bottom } = document.activeElement.getBoundingClientRect()
      return outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2 && top >= 0 && bottom <= innerHeight + 1
    })()`)
    t.ok(seen, `the focus is seen on ${String(name)}`)
  }
  const inOrder =
    await page.evaluate(`[...document.querySelectorAll('main button, main input, main select, main summary, main [tabindex="0"]')]
    .filter((element) => element.checkVisibility())
    .map((element) => element.id || element.tagName + ' ' + element.textContent.trim().slice(0, 30))`)
  t.strictSame(reached, inOrder, 'everything that can be used, from top to bottom')

  await page.locator('#test-bells').focus()
  await page.keyboard.press('Enter')
  await reads(page, '#bells-result', /was heard/)
  t.equal(await focused(), 'test-bells', 'a button keeps the focus while it works')
  await page.locator('#chart-at').focus()
  const before = await page.locator('#chart-value').innerText()
  await page.keyboard.press('ArrowLeft')
  t.not(await page.locator('#chart-value').innerText(), before, 'the chart is read by its slider')
  t.equal(
    await page.locator('#chart-at').getAttribute('aria-valuetext'),
    await page.locator('#chart-value').innerText(),
  )
  await page.keyboard.press('Home')
  t.match(await page.locator('#chart-value').innerText(), /clinic to portal no change/)
  await page.locator('#sign-out').focus()
  await page.keyboard.press('Space')
  await reads(page, '#login-why', /signed out/)
  t.equal(await focused(), 'token')
  t.strictSame(complaints, [])
})

t.test('on a phone, nothing has to be moved sideways; as large as wanted', async (t) => {
  for (const width of [320, 375, 768]) {
    const { page, signIn } = await openPage(t, browser, url, { viewport: { width, height: 640 }, hasTouch: true })
    t.equal(await widthOf(page), width, `the login at ${width}`)
    await signIn()
    await page.locator('summary').click()
    t.equal(await widthOf(page), width, `the page at ${width}`)
    const small =
      await page.evaluate(`[...document.querySelectorAll('main button, main select, main input:not([type=checkbox])')]
      .filter((element) => element.checkVisibility() && element.getBoundingClientRect().height < 24)
      .map((element) => element.id)`)
    t.strictSame(small, [], 'what is touched is large enough')
  }
  // WCAG 1.4.4: text twice as large.
  const { page, signIn } = await openPage(t, browser, url, { viewport: { width: 640, height: 640 } })
  await signIn()
  await page.evaluate(`document.documentElement.setAttribute('style', 'font-size: 200%')`)
  t.equal(await widthOf(page), 640)
})

t.test('in light and in dark, in every state, all text can be read', async (t) => {
  const grounds = new Set<unknown>()
  for (const colorScheme of ['light', 'dark'] as const) {
    const { page, signIn } = await openPage(t, browser, url, { colorScheme })
    t.strictSame(await page.evaluate(TOO_FAINT), [], `${colorScheme}, login`)
    grounds.add(await page.evaluate('getComputedStyle(document.documentElement).backgroundColor'))
    await signIn()
    await page.locator('summary').click()
    for (const tone of ['good', 'moving', 'bad']) {
      await page.evaluate(`(() => {
        document.querySelectorAll('.verdict, .card').forEach((each) => (each.dataset.tone = '${tone}'))
        for (const each of document.querySelectorAll('.result')) {
          each.dataset.tone = '${tone}'
          each.textContent = 'What came of it.'
        }
        const lost = document.getElementById('lost')
        lost.hidden = false
        lost.textContent = 'The line is lost.'
      })()`)
      t.strictSame(await page.evaluate(TOO_FAINT), [], `${colorScheme}, ${tone}`)
    }
    await page.evaluate(`document.getElementById('dialog').showModal()`)
    t.strictSame(await page.evaluate(TOO_FAINT), [], `${colorScheme}, dialog`)
  }
  t.equal(grounds.size, 2)
})

t.test('who wants no motion gets none', async (t) => {
  const { page } = await openPage(t, browser, url, { reducedMotion: 'reduce' })
  const moving = `[...document.querySelectorAll('*')].some((element) => {
    const { transitionDuration, animationName } = getComputedStyle(element)
    return parseFloat(transitionDuration) > 0 || animationName !== 'none'
  })`
  t.equal(await page.evaluate(moving), false)
})

t.test('with a screen reader: landmarks, headings, tables, names, and what is said by itself', async (t) => {
  const { page, signIn } = await openPage(t, browser, url)
  await signIn()
  await reads(page, '#headline', /In sync/)
  for (const role of ['banner', 'main', 'contentinfo'] as const) t.equal(await page.getByRole(role).count(), 1, role)
  t.equal(await page.locator('html').getAttribute('lang'), 'en')
  t.match(await page.title(), /In sync/)
  t.equal(await page.getByRole('heading', { level: 1 }).count(), 1)
  const levels = (await page.evaluate(
    `[...document.querySelectorAll('h1, h2, h3, h4')].filter((each) => each.checkVisibility()).map((each) => Number(each.tagName[1]))`,
  )) as number[]
  t.ok(
    levels.every((level, i) => level <= (levels[i - 1] ?? 0) + 1),
    `no level is left out: ${levels.join(' ')}`,
  )
  const regions = await page.getByRole('region').evaluateAll((all) => all.map((each) => each.ariaLabel ?? ''))
  t.ok(regions.length > 8, 'sections are regions')
  const nameless =
    await page.evaluate(`[...document.querySelectorAll('button, input, select, section, table, dialog, progress')]
    .filter((each) => each.checkVisibility())
    .filter((each) => !(each.ariaLabel || each.labels?.length || each.caption || each.getAttribute('aria-labelledby')
      || (each.tagName === 'BUTTON' && each.textContent.trim())))
    .map((each) => each.outerHTML)`)
  t.strictSame(nameless, [])
  const broken =
    await page.evaluate(`[...document.querySelectorAll('[aria-labelledby], [aria-describedby], [aria-controls], label[for]')]
    .flatMap((each) => ['aria-labelledby', 'aria-describedby', 'aria-controls', 'for'].flatMap((name) => (each.getAttribute(name) ?? '').split(' ')))
    .filter((id) => id !== '' && document.getElementById(id) === null)`)
  t.strictSame(broken, [], 'what names another is there')
  const twice = await page.evaluate(
    `[...document.querySelectorAll('[id]')].map((each) => each.id).filter((id, i, all) => all.indexOf(id) !== i)`,
  )
  t.strictSame(twice, [])
  const headless = await page.evaluate(`[...document.querySelectorAll('table')].flatMap((each) =>
    [...each.querySelectorAll('tr')].filter((row) => !row.querySelector('th[scope]')).map((row) => row.textContent))`)
  t.strictSame(headless, [], 'each row and column has its head')
  t.ok(await page.getByRole('status').filter({ hasText: 'In sync' }).count(), 'the verdict is said when it changes')
  t.ok(await page.getByRole('rowheader', { name: 'clinic', exact: true }).count())
  t.ok(await page.getByRole('slider', { name: 'Values at' }).count())
  t.match(
    await page.locator('#chart-summary').innerText(),
    /In the last 6 hours: clinic to portal [1-9]/,
    'the chart in words',
  )
})
