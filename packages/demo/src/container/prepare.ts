import { migrate } from '@clinic-sync/cli'
import type mssql from 'mssql'
import pg from 'pg'
import { hasPatients } from '../load.ts'
import { connectClinic } from '../run/clinic-pool.ts'
import { isBabelfish, migrationsForBabelfish } from '../run/babelfish.ts'
import { prepareClinic } from '../run/prepare-clinic.ts'
import { type Doorbell, switchDoorbell } from '../run/switch-doorbell.ts'
import type { Screen } from '../screen.ts'

export interface Addresses {
  /** With the logins that install. */
  readonly clinicAdmin: string
  readonly portalAdmin: string
  /** The services' own; made here, unless they are the same. */
  readonly clinic: string
  readonly portal: string
}

export interface Prepared {
  readonly clinic: mssql.ConnectionPool
  readonly doorbell: Doorbell
  /** The databases were empty: nobody has edited them yet. */
  readonly fresh: boolean
}

/**
 * Makes of two empty servers a clinic that has worked for years and a portal, and installs the sync on both, as `init` does on
 * real ones. What is there already stays.
 *
 * @param folder for files that are of no use afterwards
 */
export async function prepareDatabases(addresses: Addresses, screen: Screen, folder: string): Promise<Prepared> {
  const onLine = (line: string) => screen.line(screen.faint(`  ${line}`))
  await createClinicDatabase(addresses.clinicAdmin)
  const clinic = await connectClinic(addresses.clinicAdmin)
  const fresh = !(await isFilled(clinic))
  if (fresh) {
    const loaded = await prepareClinic({
      url: addresses.clinicAdmin,
      clinic,
      simulator: false,
      confirm: () => Promise.resolve(true),
    })
    const rows = Object.entries(loaded).map(([table, count]) => `${count} ${table}`)
    screen.pair('clinic', rows.join(', '))
  } else screen.pair('clinic', 'as the last run left it')
  if (addresses.clinic !== addresses.clinicAdmin) await clinicLogin(clinic, new URL(addresses.clinic))
  if (addresses.portal !== addresses.portalAdmin) await portalLogin(addresses.portalAdmin, new URL(addresses.portal))
  const adapted = (await isBabelfish(clinic)) ? { folder: await migrationsForBabelfish(folder) } : {}
  await migrate({ side: 'clinic', url: addresses.clinicAdmin, onLine, ...adapted })
  await migrate({ side: 'portal', url: addresses.portalAdmin, withPortalTables: true, onLine })
  const doorbell = await switchDoorbell(addresses.clinicAdmin)
  onLine(`clinic: ${doorbell === 'http' ? 'nothing in the database rings' : `the doorbell ${doorbell} is switched on`}`)
  return { clinic, doorbell, fresh }
}

/** Where the database named in the URL is not there yet. */
async function createClinicDatabase(url: string): Promise<void> {
  const server = new URL(url)
  const name = decodeURIComponent(server.pathname.slice(1))
  server.pathname = '/master'
  const master = await connectClinic(server.href)
  try {
    const { recordset } = await master
      .request()
      .input('name', name)
      .query<{ id: number | null }>('SELECT DB_ID(@name) AS id')
    if (recordset[0]?.id != null) return
    await master.request().batch(`CREATE DATABASE [${name}]`)
    // Babelfish has none; there the demo rings by HTTP.
    const broker = `ALTER DATABASE [${name}] SET ENABLE_BROKER WITH ROLLBACK IMMEDIATE`
    await master
      .request()
      .batch(broker)
      .catch(() => undefined)
  } finally {
    await master.close()
  }
}

async function isFilled(clinic: mssql.ConnectionPool): Promise<boolean> {
  const { recordset } = await clinic
    .request()
    .query<{ id: number | null }>("SELECT OBJECT_ID(N'dbo.tblpatients', N'U') AS id")
  return recordset[0]?.id != null && (await hasPatients(clinic))
}

/** What by-hand/service_login.sql makes. The role gets its rights from the migrations; made now, they need not come first. */
async function clinicLogin(clinic: mssql.ConnectionPool, { username, password }: URL): Promise<void> {
  const [name, secret] = [plain(username), plain(password)]
  for (const statement of [
    `IF DATABASE_PRINCIPAL_ID(N'clinic_sync') IS NULL CREATE ROLE clinic_sync`,
    `IF SUSER_ID(N'${name}') IS NULL CREATE LOGIN ${name} WITH PASSWORD = N'${secret}'`,
    `IF DATABASE_PRINCIPAL_ID(N'${name}') IS NULL CREATE USER ${name} FOR LOGIN ${name}`,
    `ALTER ROLE clinic_sync ADD MEMBER ${name}`,
  ])
    await clinic.request().batch(statement)
}

async function portalLogin(url: string, { username, password }: URL): Promise<void> {
  const [name, secret] = [plain(username), plain(password)]
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => undefined)
  await client.connect()
  try {
    const { rows } = await client.query<{ rolname: string }>('SELECT rolname FROM pg_roles')
    const roles = new Set(rows.map(({ rolname }) => rolname))
    if (!roles.has('clinic_sync')) await client.query('CREATE ROLE clinic_sync NOLOGIN')
    if (!roles.has(name)) await client.query(`CREATE ROLE ${name} LOGIN PASSWORD '${secret}' IN ROLE clinic_sync`)
  } finally {
    await client.end()
  }
}

/** These names and passwords are the demo's own: letters, digits, `_` and `-`. */
function plain(text: string): string {
  const decoded = decodeURIComponent(text)
  if (!/^[\w-]+$/.test(decoded))
    throw new Error('The demo’s logins and passwords are made of letters, digits, _ and -.')
  return decoded
}
