import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { startContainer } from './docker.ts'
import { firstOf, shown, type ServiceOptions, type SqlServerService } from './service.ts'

export type SqlServerOptions = ServiceOptions & {
  /** Simulator only: start with the schema `sync` in place beside the clinic's tables. Default false, as on a real server. */
  migrated?: boolean
}

/**
 * A SQL Server to work with: SQLSERVER_URL (with SQLSERVER_ADMIN_URL, if that names the login that may do everything), else the simulator (in this process, and it says so), else Docker. For the
 * real engine where Docker is, ask for `ways: ['docker']`.
 *
 * @throws NoServiceError when there is no way to one.
 */
export function startSqlServer(options: SqlServerOptions = {}): Promise<SqlServerService> {
  const env = options.env ?? process.env
  return firstOf<SqlServerService>(
    'SQL Server',
    [
      {
        way: 'url',
        label: 'SQLSERVER_URL',
        try: async () => {
          const url = env.SQLSERVER_URL
          if (!url) return 'not set'
          const how = `SQL Server: ${shown(url)} (SQLSERVER_URL)`
          const admin = env.SQLSERVER_ADMIN_URL
          return { ...(admin ? { url: admin, serviceUrl: url } : { url }), how, stop: async () => undefined }
        },
      },
      {
        way: 'embedded',
        label: 'simulator',
        try: async () => {
          // Loaded only when needed: whoever brings a SQL Server does not pay for it.
          const { startSimulator } = await import('@clinic-sync/sqlserver-simulator')
          const simulator = await startSimulator({ migrated: options.migrated ?? false })
          return {
            url: simulator.url,
            serviceUrl: simulator.serviceUrl,
            how: `SQL Server: the development simulator (not a real SQL Server) on port ${simulator.port}`,
            stop: () => simulator.stop(),
          }
        },
      },
      { way: 'docker', label: 'Docker', try: () => inDocker(options) },
    ],
    options,
    'Set SQLSERVER_URL (mssql://user:password@host:1433/database), or start Docker.',
  )
}

async function inDocker(options: ServiceOptions): Promise<SqlServerService | string> {
  const image = 'mcr.microsoft.com/mssql/server:2022-latest'
  // The server's password policy wants three of: capital, small letter, digit, symbol.
  const password = `Aa1${randomBytes(12).toString('hex')}`
  const container = await startContainer({
    image,
    port: 1433,
    environment: { ACCEPT_EULA: 'Y', MSSQL_PID: 'Express', MSSQL_SA_PASSWORD: password },
    options,
  })
  if (typeof container === 'string') return container
  const port = container.ports[0] ?? 0
  await container.answers(120_000, () => answersPrelogin(port))
  return {
    url: `mssql://sa:${password}@127.0.0.1:${port}/master?encrypt=true&trustServerCertificate=true`,
    how: `SQL Server: Docker ${image} on port ${port}`,
    stop: container.stop,
  }
}

/**
 * Resolves when a TDS server answers the first message of a login. A connection alone proves nothing: Docker's own proxy
 * accepts while the server is still starting.
 */
function answersPrelogin(port: number): Promise<void> {
  // PRELOGIN (MS-TDS 2.2.6.5): header, option VERSION at offset 6 with length 6, terminator, version 0.
  const prelogin = Buffer.from('1201001400000000' + '0000060006' + 'ff' + '000000000000', 'hex')
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', timeout: 2_000 })
    socket.once('connect', () => socket.write(prelogin))
    socket.once('data', () => {
      socket.destroy()
      resolve()
    })
    socket.once('timeout', () => socket.destroy())
    socket.once('error', () => undefined)
    socket.once('close', () => reject(new Error(`no SQL Server answers on port ${port}`)))
  })
}
