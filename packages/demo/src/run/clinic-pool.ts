import { parseAddress } from '@clinic-sync/clinic'
import mssql from 'mssql'

/** People's connections to the clinic: what a reception's software or SSMS would have. */
export async function connectClinic(url: string, max = 2): Promise<mssql.ConnectionPool> {
  const pool = new mssql.ConnectionPool({ ...parseAddress(url), pool: { min: 0, max } })
  pool.on('error', () => undefined)
  return pool.connect()
}
