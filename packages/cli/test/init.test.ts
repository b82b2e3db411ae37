import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { testClinic, testPostgres } from '@clinic-sync/dev-services/testing'
import t, { type Test } from 'tap'
import { rm } from 'node:fs/promises'
import { init, type InitCommand } from '../src/init/init.ts'
import type { InitOptions } from '../src/init/options.ts'

// init by flags, against a simulated clinic and a real Postgres, in a folder of its own.

function folderOf(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'clinic-sync-init-test-'))
  t.teardown(() => rm(folder, { recursive: true }))
  return folder
}

async function databases(t: Test) {
  const [clinic, portal] = await Promise.all([testClinic(t, { migrated: false }), testPostgres(t)])
  const without = (url: string) => {
    const copy = new URL(url)
    const { password } = copy
    copy.password = ''
    return { address: copy.href, password: decodeURIComponent(password) }
  }
  return { clinic, portal, sqlserver: without(clinic.url), postgres: without(portal.url) }
}

function runner(folder: string, found: Awaited<ReturnType<typeof databases>>) {
  return async (options: Partial<InitOptions> = {}, more: Partial<InitCommand> = {}) => {
    const lines: string[] = []
    const result = await init({
      options: {
        input: false,
        run: 'node',
        login: 'clinic_sync_service',
        sqlserver: found.sqlserver.address,
        postgres: found.postgres.address,
        ...options,
      },
      passwords: { sqlserver: found.sqlserver.password, postgres: found.postgres.password },
      folder,
      ask: null,
      say: (line) => void lines.push(line),
      inContainer: false,
      environment: {},
      colour: false,
      ...more,
    }).then(
      (done) => ({ done, error: undefined }),
      (error: unknown) => ({ done: undefined, error: error as Error }),
    )
    return { ...result, text: lines.join('\n') }
  }
}



t.test('by flags: writes everything, installs, and the doctor finds nothing that fails', async (t) => {
  const found = await databases(t)
  const folder = folderOf(t)
  const run = runner(folder, found)
  const { done, text, error } = await run({ install: true, withPortalTables: true })
  t.equal(error, undefined)
  t.match(text, /Nothing fails/)
  t.equal(done, true)
})
