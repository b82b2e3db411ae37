import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { testClinic, testPostgres, testPostgresServer } from '@clinic-sync/dev-services/testing'
import type { Test } from 'tap'
import { init, type InitCommand } from '../../src/init/init.ts'
import type { InitOptions } from '../../src/init/options.ts'

/** An empty folder for `.env` and `secrets`. */
export function emptyFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'clinic-sync-init-test-'))
  t.teardown(() => rm(folder, { recursive: true }))
  return folder
}

/** An address as a flag takes it, and the password that it had. */
export function split(url: string): { address: string; password: string } {
  const copy = new URL(url)
  const { password } = copy
  copy.password = ''
  return { address: copy.href, password: decodeURIComponent(password) }
}

/**
 * A clinic and a portal without the sync, and `init` by flags against them.
 *
 * @param ownPostgres for a test that makes the services' login, which all databases of a server share.
 */
export async function bare(t: Test, { ownPostgres = false } = {}) {
  const [clinic, portal] = await Promise.all([
    testClinic(t, { migrated: false }),
    ownPostgres ? testPostgresServer(t) : testPostgres(t),
  ])
  const sqlserver = split(clinic.url)
  const postgres = split(portal.url)
  const run = async (folder: string, options: Partial<InitOptions> = {}, more: Partial<InitCommand> = {}) => {
    const lines: string[] = []
    const said = await init({
      options: {
        input: false,
        run: 'node',
        login: 'clinic_sync_service',
        // Nobody listens there, whatever runs on this machine.
        port: '1',
        sqlserver: sqlserver.address,
        postgres: postgres.address,
        ...options,
      },
      passwords: { sqlserver: sqlserver.password, postgres: postgres.password },
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
    return { ...said, text: lines.join('\n') }
  }
  return { clinic, portal, sqlserver, postgres, run }
}
