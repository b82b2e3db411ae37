import { readFile } from 'node:fs/promises'
import { openScriptConnection, runBatches } from '@clinic-sync/clinic'
import type mssql from 'mssql'
import { hasPatients, type Loaded, loadSampleClinic } from '../load.ts'
import { isBabelfish } from './babelfish.ts'

export interface PrepareOptions {
  readonly url: string
  readonly clinic: mssql.ConnectionPool
  readonly simulator: boolean
  /** Asks a person; true means go on. */
  readonly confirm: (question: string) => Promise<boolean>
}

const SCHEMA = new URL('../../../sqlserver-simulator/clinic-schema.sql', import.meta.url)

/**
 * Gives an empty SQL Server the clinic's tables and the sample clinic. A database that has patients is never touched:
 * the demo edits rows, and must not edit a real clinic's.
 *
 * @throws Error in words for people.
 */
export async function prepareClinic({ url, clinic, simulator, confirm }: PrepareOptions): Promise<Loaded> {
  if (!simulator) await createTables(url, clinic, confirm)
  if (await hasPatients(clinic))
    throw new Error(
      'The clinic at SQLSERVER_URL has patients. The demo edits rows, so it works on an empty database only.',
    )
  return loadSampleClinic(clinic, { nul: !(await isBabelfish(clinic)) })
}

async function createTables(
  url: string,
  clinic: mssql.ConnectionPool,
  confirm: PrepareOptions['confirm'],
): Promise<void> {
  const { recordset } = await clinic
    .request()
    .query<{ tables: number; patients: number | null }>(
      "SELECT COUNT(*) AS tables, MAX(OBJECT_ID(N'dbo.tblpatients', N'U')) AS patients FROM sys.tables",
    )
  const { hostname, pathname } = new URL(url)
  const where = `database ${decodeURIComponent(pathname.slice(1))} at ${hostname}`
  if (recordset[0]?.patients != null) {
    if (await hasPatients(clinic)) return
    if (!(await confirm(`Load an invented clinic into the empty tables of ${where}?`))) throw new Error('Nothing done.')
    return
  }
  if ((recordset[0]?.tables ?? 0) > 0)
    throw new Error(`The ${where} holds tables of something else. Give the demo an empty database.`)
  if (!(await confirm(`Create a clinic's tables and load an invented clinic into the ${where}?`)))
    throw new Error('Nothing done.')
  const connection = openScriptConnection(url)
  try {
    await runBatches(connection, await readFile(SCHEMA, 'utf8'))
  } finally {
    await connection.close()
  }
}
