import { readFile } from 'node:fs/promises'
import { openScriptConnection, runBatches } from '@clinic-sync/clinic'
import { testClinic } from '@clinic-sync/dev-services/testing'
import type { Test } from 'tap'

const SCHEMA = new URL('../../../sqlserver-simulator/clinic-schema.sql', import.meta.url)

export interface OwnClinic {
  readonly url: string
  /** A server's engine runs it (SQLSERVER_URL), not the simulator. */
  readonly real: boolean
  /** That engine is Babelfish, which lacks a few things that the migrations use. */
  readonly babelfish: boolean
}

let made = 0

/** A clinic of a test's own without schema sync: a database on the server at SQLSERVER_URL if that is set, else a simulator. */
export async function ownClinic(t: Test): Promise<OwnClinic> {
  const server = process.env.SQLSERVER_URL
  if (!server) return { ...(await testClinic(t, { migrated: false })), real: false, babelfish: false }
  const name = `cli_test_${process.pid}_${Date.now().toString(36)}_${++made}`
  const master = openScriptConnection(server)
  await master.batch(`CREATE DATABASE ${name}`)
  t.teardown(async () => {
    await dropOnceUnused(() => master.batch(`DROP DATABASE ${name}`))
    await master.close()
  })
  const [engine] = await master.batch("SELECT CAST(SERVERPROPERTY('Babelfish') AS nvarchar(10)) AS x")
  const url = Object.assign(new URL(server), { pathname: `/${name}` }).href
  const connection = openScriptConnection(url)
  await runBatches(connection, await readFile(SCHEMA, 'utf8')).finally(() => connection.close())
  return { url, real: true, babelfish: engine?.x === '1' }
}

/** The server ends sessions a moment after their clients have: tried until then, for 10 s. */
async function dropOnceUnused(drop: () => Promise<unknown>): Promise<void> {
  const deadline = performance.now() + 10_000
  for (;;) {
    try {
      await drop()
      return
    } catch (error) {
      if (performance.now() > deadline) throw error
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}
