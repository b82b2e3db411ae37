import { networkInterfaces, hostname } from 'node:os'
import { parseAddress } from '@clinic-sync/clinic'
import { type Check, checksOf } from './check.ts'

const TITLE = 'Nobody can read along on the way'
const CERTIFICATE =
  "Download the server's certificate (Supabase: Database Settings → SSL Configuration), and write ?sslrootcert=<its path> into POSTGRES_URL in .env (see .env.example)"
const HERE = 'the server is on this machine'

/** Whether what is sent to that host stays on this machine. `host` as in a URL. */
export function isThisMachine(host: string): boolean {
  const name = host.replace(/^\[(.*)\]$/, '$1').toLowerCase()
  // host.docker.internal: this machine, as Docker calls it in a container.
  if (/^(|localhost|127(\.\d+){3}|::1|\.|host\.docker\.internal)$/.test(name) || name === hostname().toLowerCase())
    return true
  return Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === name))
}

/** @param url SQLSERVER_URL, well-formed */
export function clinicEncryption(url: string): Check {
  const { ok, warn } = checksOf('clinic')
  const { server, options } = parseAddress(url)
  if (isThisMachine(server)) return ok('encrypted', TITLE, HERE)
  if (options?.encrypt === false)
    return warn(
      'encrypted',
      TITLE,
      "encrypt=false: patients' data and the login's password travel unencrypted",
      'Set encrypt=true in SQLSERVER_URL (.env), with ca=<file of the certificate> where this machine does not know it; then restart the services.',
    )
  if (options?.trustServerCertificate === true)
    return warn(
      'encrypted',
      TITLE,
      'encrypted; trustServerCertificate=true takes any certificate, so that somebody in between could pass for the server',
      'Give SQL Server a certificate of its own, and replace trustServerCertificate=true in SQLSERVER_URL (.env) by ca=<file of that certificate>; then restart the services.',
    )
  return ok('encrypted', TITLE, 'encrypted, and the certificate is checked')
}

/**
 * @param url POSTGRES_URL
 * @param encrypted whether the connection was
 */
export function portalEncryption(url: string, encrypted: boolean): Check {
  const { ok, warn } = checksOf('portal')
  const { hostname: host, searchParams } = new URL(url)
  const here = isThisMachine(searchParams.get('host') ?? host) || searchParams.get('host')?.startsWith('/') === true
  if (encrypted && searchParams.get('sslmode') === 'no-verify' && !here)
    return warn(
      'encrypted',
      TITLE,
      'encrypted; sslmode=no-verify takes any certificate, so that somebody in between could pass for the server',
      `${CERTIFICATE} in place of sslmode=no-verify, then restart the services.`,
    )
  if (encrypted) return ok('encrypted', TITLE, 'encrypted, and the certificate is checked')
  if (here) return ok('encrypted', TITLE, HERE)
  return warn(
    'encrypted',
    TITLE,
    "sslmode=disable: patients' data and the role's password travel unencrypted",
    `${CERTIFICATE} in place of sslmode=disable, then restart the services.`,
  )
}

/**
 * @param url RABBITMQ_URL
 * @param inDocker we run in a container: a name without a dot is a neighbour's in the same network of Docker's, which
 *   docker-compose.yml keeps on one machine.
 */
export function brokerEncryption(url: string, inDocker = false): Check {
  const { ok, warn } = checksOf('broker')
  const { protocol, hostname: host } = new URL(url)
  if (protocol === 'amqps:') return ok('encrypted', TITLE, 'encrypted, and the certificate is checked')
  if (isThisMachine(host)) return ok('encrypted', TITLE, HERE)
  if (inDocker && !host.includes('.')) return ok('encrypted', TITLE, "it is in Docker's own network on this machine")
  return warn(
    'encrypted',
    TITLE,
    "amqp:// to another machine: patients' data and the login's password travel unencrypted",
    'Switch TLS on in RabbitMQ (port 5671), set amqps:// and that port in RABBITMQ_URL (.env), with ?cacertfile=<file> where this machine does not know its certificate; then restart the services.',
  )
}
