import { lookup } from 'node:dns/promises'
import { DatabaseError, type SyncError } from '@clinic-sync/sync'
import { isCertificateTrouble } from '../doctor/certificate.ts'
import { DOCKER_HOST, isLoopback } from './addresses.ts'
import type { Trouble } from './session.ts'

const numberOf = (error: SyncError): string => (error instanceof DatabaseError ? (error.number ?? '') : '')

/** Why SQL Server did not let us in, for whoever sits at the terminal. */
export function clinicTrouble(error: SyncError, url: string): Trouble {
  const why = error.message
  const codes = (/\(([A-Z\d_, ]+)\)/.exec(why)?.[1] ?? '').split(', ')
  if (codes.some(isCertificateTrouble)) return { why, todo: 'See its certificate below.', certificate: true }
  if (error.code === 'SYNC_CONFIG') return { why, todo: 'Correct the address.' }
  if (/refused the login/.test(why))
    return {
      why,
      todo: 'Correct login, password and database. If they are right: SQL Server accepts SQL logins only in mixed mode (Server Properties → Security → SQL Server and Windows Authentication mode, then restart it).',
    }
  if (codes.includes('EINSTLOOKUP') || codes.includes('EAI_AGAIN') || codes.includes('ENOTFOUND'))
    return {
      why,
      todo: 'Correct the host. A named instance is found through the service SQL Server Browser (UDP 1434): start it, or give the port instead, as host:1433.',
    }
  const local = isLoopback(url) || new URL(url).hostname === DOCKER_HOST
  return {
    why,
    todo:
      'Start SQL Server; switch TCP/IP on (SQL Server Configuration Manager → Protocols; then restart SQL Server); give the port if it is not 1433; let the firewall pass it' +
      (local
        ? `. From a container, SQL Server on this machine is at ${DOCKER_HOST}, and has to listen at all addresses.`
        : '.'),
  }
}

/** Why Postgres did not let us in. Looks the host up, where it cannot be reached. */
export async function portalTrouble(error: SyncError, url: string, inContainers: boolean): Promise<Trouble> {
  const why = error.message
  const number = numberOf(error)
  if (isCertificateTrouble(number)) return { why, todo: 'See its certificate below.', certificate: true }
  if (/does not support SSL/i.test(why))
    return {
      why,
      todo: 'Switch TLS on in that Postgres. Only where it is on this machine, append ?sslmode=disable to its address.',
    }
  if (number.startsWith('28'))
    return {
      why,
      todo: "Correct user and password. It is the database's password (Supabase: Project Settings → Database → Reset database password), not that of your Supabase account.",
    }
  if (number === '3D000')
    return { why, todo: 'Correct the database, the last part of the address; on Supabase it is postgres.' }
  // Supavisor says so where the project behind the user's name is not one of its.
  if (number === 'XX000')
    return {
      why,
      todo: 'Correct user and host: the session pooler wants postgres.<project> as its user, and the region of the project in its host.',
    }
  if (await isIpv6Only(new URL(url).hostname)) return { why, todo: ipv6Words(inContainers) }
  return { why, todo: 'Check host and port, and that the project is not paused (Supabase → Project).' }
}

export const ipv6Words = (inContainers: boolean): string =>
  `That host has an IPv6 address only (Supabase's direct connection), which ${inContainers ? 'containers cannot reach' : 'this machine cannot reach'}: take the session pooler (Supabase → Connect → Session pooler), port 5432.`

/** Whether a name leads to IPv6 addresses only. */
export async function isIpv6Only(host: string): Promise<boolean> {
  try {
    const addresses = await lookup(host.replace(/^\[(.*)\]$/, '$1'), { all: true })
    return addresses.length > 0 && addresses.every(({ family }) => family === 6)
  } catch {
    return false
  }
}
