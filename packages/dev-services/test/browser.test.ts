import { access, chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { findBrowser, startBrowser } from '../src/browser.ts'
import { NoServiceError } from '../src/service.ts'

t.test('CHROMIUM_PATH is taken, and one that names nothing is not replaced by another', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'clinic-sync-test-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const path = join(folder, 'browser')
  await writeFile(path, '#!/bin/sh\necho Browser 1.0\n')
  await chmod(path, 0o755)
  t.match(await findBrowser({ env: { CHROMIUM_PATH: path } }), {
    path,
    how: `Chromium: ${path}, Browser 1.0 (CHROMIUM_PATH)`,
  })
  const wrong = { env: { ...process.env, CHROMIUM_PATH: join(folder, 'none') } }
  await t.rejects(findBrowser(wrong), { name: 'NoServiceError', message: /CHROMIUM_PATH is set/ })
})

t.test('nothing is installed without consent, and the message lists the choices', async (t) => {
  const error = await findBrowser({ env: { PATH: '/nowhere' }, ways: ['url', 'package'] }).catch((e: unknown) => e)
  t.type(error, NoServiceError)
  t.match(String(error), /CHROMIUM_PATH: not set/)
  t.match(String(error), /apt-get install chromium/)
  t.match(String(error), /--yes or CI=true/)
})

t.test('a browser starts with a profile of its own, and nothing of it is left', async (t) => {
  const browser = await startBrowser()
  t.match(browser.how, /^Chromium: /)
  const answer = await fetch(`${browser.url}/json/version`)
  t.match(await answer.json(), { webSocketDebuggerUrl: /^ws:/ })
  await browser.stop()
  await t.rejects(fetch(`${browser.url}/json/version`))
  await t.rejects(access(join(browser.folder, 'profile')))
})
