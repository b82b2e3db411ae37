/**
 * `npm run screenshots`: pictures of the status page for README and docs, of the invented clinic: in sync, on a desktop in light; and with
 * changes that the portal refuses, on a phone in dark. Only the chart's hours are made up here: a demo that has run for a minute has none.
 */
import { startBrowser } from '@clinic-sync/dev-services'
import type { History } from '@clinic-sync/contracts'
import { writeFile } from 'node:fs/promises'
import pg from 'pg'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { startDemo } from '../../src/demo.ts'
import { releasers } from '../../src/run/releasers.ts'
import { seeded } from '../../src/sample/random.ts'
import { screenOn } from '../../src/screen.ts'

const FOLDER = new URL('../../../../docs/images/', import.meta.url)
const DIRECTIONS = ['sql-to-postgres', 'postgres-to-sql'] as const
/** As README says that they are. */
const LARGEST = 200_000

const release = releasers()
const screen = screenOn(process.stdout)

/** A clinic's morning: few changes at eight, many at eleven. */
function morning(now = Date.now()): History {
  const random = seeded(7)
  const share = () => random.int(0, 1_000) / 1_000
  const from = Math.floor(now / 60_000) * 60_000 - 6 * 3_600_000
  const minutes = Array.from({ length: 360 }, (_, minute) => {
    const busy = Math.sin((minute / 360) * Math.PI) ** 2
    return DIRECTIONS.flatMap((direction, i) => {
      const changes = Math.round(share() * busy * (i === 0 ? 9 : 2.2))
      if (changes === 0) return []
      const medianMs = Math.round(9 + i * 14 + share() ** 4 * 90)
      const worstMs = Math.round(medianMs * (1 + share() * 4) + (minute === 211 ? 4_800 : 0))
      return [{ at: new Date(from + minute * 60_000).toISOString(), direction, changes, medianMs, worstMs }]
    })
  }).flat()
  return { startedAt: new Date(from - 3_600_000).toISOString(), minutes }
}

async function open(browser: Browser, url: string, token: string, options: BrowserContextOptions): Promise<Page> {
  const context = await browser.newContext({ locale: 'en-GB', ...options })
  const page = await context.newPage()
  await page.route('**/api/sync/history*', (route) => route.fulfill({ json: morning() }))
  await page.goto(url)
  await page.getByLabel('Operator token').fill(token)
  await page.keyboard.press('Enter')
  await page.locator('#headline', { hasNotText: 'Asking' }).waitFor()
  return page
}

async function picture(page: Page, name: string, clip?: { height: number }): Promise<void> {
  const { width = 0 } = page.viewportSize() ?? {}
  const area = clip === undefined ? {} : { clip: { x: 0, y: 0, width, height: clip.height } }
  const bytes = await page.screenshot({ fullPage: clip !== undefined, animations: 'disabled', ...area })
  if (bytes.length > LARGEST) throw new Error(`${name} has ${bytes.length} bytes`)
  await writeFile(new URL(name, FOLDER), bytes)
  screen.line(`docs/images/${name}: ${Math.round(bytes.length / 1_000)} kB`)
}

try {
  const demo = await startDemo({ screen, release, confirm: async () => true, yes: true, quiet: true })
  const { ingressUrl, operatorToken } = demo.services
  const found = await startBrowser({ yes: true, say: (line) => screen.line(line) })
  release.add('browser', () => found.stop())
  const browser = await chromium.connectOverCDP(found.url)
  release.add('its connection', () => browser.close())

  const desktop = await open(browser, ingressUrl, operatorToken, { viewport: { width: 1_000, height: 900 } })
  await demo.clinic.request().query(`UPDATE dbo.tblpatients SET Phone = N'0750 111 2222' WHERE PersonID = 1`)
  await desktop.getByRole('button', { name: 'Verify now' }).click()
  await desktop.locator('#verify-result', { hasText: /^Compared:/ }).waitFor()
  await desktop.locator('#headline', { hasText: 'In sync' }).waitFor()
  const end = await desktop.evaluate(`document.querySelector('h2.part').getBoundingClientRect().top + scrollY`)
  await desktop.evaluate('scrollTo(0, 0)')
  await picture(desktop, 'status-page.png', { height: Math.floor(Number(end)) })

  const portal = new pg.Client({ connectionString: demo.addresses.portal })
  await portal.connect()
  release.add('portal connection', () => portal.end())
  await portal.query(`ALTER TABLE patients ADD CONSTRAINT phone_is_a_number CHECK (phone !~ '[a-z]') NOT VALID`)
  await demo.clinic.request().query(`UPDATE dbo.tblpatients SET Phone = N'ask her mother' WHERE PersonID <= 12`)
  const size = { width: 360, height: 740 }
  const phone = await open(browser, ingressUrl, operatorToken, {
    viewport: size,
    deviceScaleFactor: 1.5,
    hasTouch: true,
    colorScheme: 'dark',
  })
  await phone.locator('.group', { hasText: /\d letters\./ }).waitFor()
  await picture(phone, 'status-page-phone.png')
  await phone.getByRole('button', { name: 'Explain', exact: true }).click()
  await phone.locator('.group dl').waitFor()
  await phone.evaluate(`document.getElementById('dead-title').scrollIntoView()`)
  await picture(phone, 'status-page-dead-letters.png')
} finally {
  const left = await release.releaseAll()
  if (left.length > 0) screen.line(`Could not be stopped: ${left.join(', ')}.`)
}
process.exit()
