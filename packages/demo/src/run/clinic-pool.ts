import { parseAddress } from '@clinic-sync/clinic'
import mssql from 'mssql'

/** A person's connection to the clinic: what a reception's software or SSMS would have. */
export async function connectClinic(url: string): Promise<mssql.ConnectionPool> {
  const pool = new mssql.ConnectionPool({ ...parseAddress(url), pool: { min: 0, max: 2 } })
  pool.on('error', () => undefined)
  return pool.connect()
}
