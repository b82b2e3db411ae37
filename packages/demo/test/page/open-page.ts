import { setTimeout as delay } from 'node:timers/promises'
import { testBrowser } from '@clinic-sync/dev-services/testing'
import { type Browser, type BrowserContextOptions, chromium, type Page, type Request } from 'playwright-core'
import type { Test } from 'tap'
import { OPERATOR_TOKEN } from '../pipeline/pipeline.ts'

/** The status page in a real Chromium, and what it has done there. */
export interface OpenPage {
  readonly page: Page
  /** Everything that it has asked for. */
  readonly requests: readonly Request[]
  /** What the browser complains of: errors of scripts, of the content security policy, of requests. */
  readonly complaints: readonly string[]
  signIn(token?: string): Promise<void>
}

const PATIENCE_MS = 30_000

/** A browser for a test file; each page of it is somebody else's: no cookie is shared. */
export async function testChromium(t: Test): Promise<Browser> {
  const { url } = await testBrowser(t)
  const browser = await chromium.connectOverCDP(url)
  t.teardown(() => browser.close())
  return browser
}

/** Opens the page as somebody who was never here. */
export async function openPage(
  t: Test,
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
): Promise<OpenPage> {
  const context = await browser.newContext({ viewport: { width: 1_100, height: 900 }, locale: 'en-GB', ...options })
  t.teardown(() => context.close())
  const page = await context.newPage()
  page.setDefaultTimeout(PATIENCE_MS)
  const requests: Request[] = []
  const complaints: string[] = []
  page.on('request', (request) => void requests.push(request))
  page.on('pageerror', (error) => void complaints.push(String(error)))
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text())
  })
  await page.goto(url)
  return {
    page,
    requests,
    complaints,
    async signIn(token = OPERATOR_TOKEN) {
      await page.getByLabel('Operator token').fill(token)
      await page.getByRole('button', { name: 'Sign in' }).click()
      await page.getByRole('button', { name: 'Sign out' }).waitFor()
      await page.locator('#headline', { hasNotText: 'Asking' }).waitFor()
    },
  }
}

/** Waits until an element's text, as it is seen, is so. */
export async function reads(page: Page, selector: string, text: RegExp): Promise<string> {
  const element = page.locator(selector)
  const deadline = performance.now() + PATIENCE_MS
  for (;;) {
    const is = await element.innerText()
    if (text.test(is) && (await element.isVisible())) return is
    if (performance.now() > deadline) throw new Error(`${selector} never read ${text}; it reads: ${is}`)
    await delay(20)
  }
}

/** Waits until an expression is true in the page. Not `waitForFunction`: it makes code of text, which the page's policy forbids. */
export async function holds(page: Page, expression: string): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS
  while ((await page.evaluate(expression)) !== true) {
    if (performance.now() > deadline) throw new Error(`never true in the page: ${expression}`)
    await delay(20)
  }
}
