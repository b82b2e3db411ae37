import { testClinic } from '@clinic-sync/dev-services/testing'
import type { Test } from 'tap'
import { createDatabase } from '../../../sqlserver-simulator/test/contract/real-engine.ts'

export interface OwnClinic {
  readonly url: string
  /** A server's engine runs it (SQLSERVER_URL), not the simulator. */
  readonly real: boolean
  /** That engine is Babelfish, which lacks a few things that the migrations use. */
  readonly babelfish: boolean
}

/** A clinic of a test's own without schema sync: a database on the server at SQLSERVER_URL if that is set, else a simulator. */
export async function ownClinic(t: Test): Promise<OwnClinic> {
  const server = process.env.SQLSERVER_URL
  if (!server) return { ...(await testClinic(t, { migrated: false })), real: false, babelfish: false }
  const database = await createDatabase(server)
  t.teardown(() => database.stop())
  await database.file('packages/sqlserver-simulator/clinic-schema.sql')
  return { url: database.url, real: true, babelfish: database.babelfish }
}
