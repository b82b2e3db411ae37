import sql from 'mssql'
import type { Test } from 'tap'
import { openEngine } from './engine.ts'

/** A database of one test file's own, with the clinic's tables, migrated, and the driver's pool on it. */
export interface Target {
  readonly pool: sql.ConnectionPool
  readonly url: string
  /** Whether a server's engine runs it (SQLSERVER_URL), not the simulator. */
  readonly real: boolean
  /** Whether that is Babelfish, which stands in for SQL Server in checks and has fewer of its error numbers. */
  readonly babelfish: boolean
  /** Asserts that something ends with the error of that number. */
  refused(t: Test, running: Promise<unknown>, number: number): Promise<void>
  /** Another pool, of one connection: a session of its own. Closed at the end. */
  session(): Promise<sql.ConnectionPool>
  /** Empties the clinic's tables and the outbox. Identities go on. */
  reset(): Promise<void>
}

/** The error numbers that Babelfish has as well. */
const SHARED_NUMBERS = new Set([515, 547, 1205, 2627])

/** Children before parents. */
const TABLES = [
  'tblAlignerActivityFlags',
  'tblInvoice',
  'tblAlignerNotes',
  'tblAlignerBatches',
  'tblAlignerSets',
  'AlignerDoctors',
  'tblwork',
  'tblpatients',
  'SyncQueue',
]

/** Opens the engine under test; everything is closed when `t` ends. */
export async function openTarget(t: Test): Promise<Target> {
  const { url, stop } = await openEngine()
  t.teardown(stop)
  const pool = await connect(t, url, 4)
  const babelfish = (await value(pool, "SELECT CAST(SERVERPROPERTY('Babelfish') AS nvarchar(10)) AS x")) === '1'
  return {
    pool,
    url,
    real: Boolean(process.env.SQLSERVER_URL),
    babelfish,
    async refused(t, running, number) {
      const found = await errorOf(running)
      if (babelfish && !SHARED_NUMBERS.has(number)) t.not(found, undefined, `an error (${number} on SQL Server)`)
      else t.equal(found, number)
    },
    session: () => connect(t, url, 1),
    async reset() {
      for (const table of TABLES) await pool.request().batch(`DELETE FROM dbo.${table}`)
    },
  }
}

async function connect(t: Test, url: string, max: number): Promise<sql.ConnectionPool> {
  const { hostname, port, pathname, username, password } = new URL(url)
  const config = {
    server: hostname,
    port: Number(port),
    database: pathname.slice(1),
    user: decodeURIComponent(username),
    password: decodeURIComponent(password),
    validateConnection: 'socket',
    pool: { max, min: 0 },
    options: { encrypt: false, trustServerCertificate: true },
  }
  const pool = await new sql.ConnectionPool(config as unknown as sql.config).connect()
  pool.on('error', () => {})
  t.teardown(() => pool.close())
  return pool
}

/** The rows of a query's first result set. */
export async function rows(
  pool: sql.ConnectionPool | sql.Transaction,
  text: string,
): Promise<readonly Record<string, unknown>[]> {
  const result = await request(pool).query<Record<string, unknown>>(text)
  return result.recordset ?? []
}

/** One value of one row. */
export async function value(pool: sql.ConnectionPool | sql.Transaction, text: string): Promise<unknown> {
  const [row] = await rows(pool, text)
  return row === undefined ? undefined : Object.values(row)[0]
}

/** A request on a pool or within a transaction. */
export const request = (on: sql.ConnectionPool | sql.Transaction): sql.Request => (on as sql.ConnectionPool).request()

/** The number of the error that a statement ends with; undefined: none. */
export async function errorOf(running: Promise<unknown>): Promise<number | undefined> {
  try {
    await running
    return undefined
  } catch (error) {
    return (error as { number?: number }).number
  }
}

/** A doctor, a patient, a work and a set to hang other rows on; their keys. */
export async function treatment(pool: sql.ConnectionPool) {
  const insert = async (text: string) =>
    Number(await value(pool, `${text}; SELECT CAST(SCOPE_IDENTITY() AS int) AS id`))
  const doctor = await insert("INSERT INTO dbo.AlignerDoctors (DoctorName) VALUES (N'Dr. Sara')")
  const patient = await insert("INSERT INTO dbo.tblpatients (PatientName, Phone) VALUES (N'Ali Hassan', N'0750')")
  const work = await insert(
    `INSERT INTO dbo.tblwork (PersonID, TotalRequired, Typeofwork, DrID) VALUES (${patient}, 500, 19, 1)`,
  )
  const set = await insert(
    `INSERT INTO dbo.tblAlignerSets (WorkID, AlignerDrID, SetSequence) VALUES (${work}, ${doctor}, 1)`,
  )
  return { doctor, patient, work, set }
}

/** What `t.rejects` and `t.throws` compare an error of the driver, or of the engine, with. */
export const numbered = (number: number, more: { message?: RegExp; line?: number } = {}) =>
  ({ number, ...more }) as unknown as Error
