import { openScriptConnection, runBatches, toDatabaseError } from '@clinic-sync/clinic'
import { portalAddress } from '@clinic-sync/portal'
import { SyncError } from '@clinic-sync/sync'
import pg from 'pg'
import { inDatabase } from '../migrate/choose.ts'
import { migrate } from '../migrate/index.ts'
import { useDoorbell } from '../doorbell/use.ts'
import { passwordOf, userOf } from './addresses.ts'
import { enableBroker } from './clinic.ts'
import type { Plan } from './init.ts'
import { loginSql } from './login-sql.ts'
import type { Session } from './session.ts'

export interface Installation {
  /** Also creates the portal's own tables. */
  readonly withPortalTables: boolean
  /** Ends every open transaction in the clinic's database, if its broker is off. */
  readonly enableBroker: boolean
}

/**
 * Installs what the services need, as `migrate`, the two files of the services' logins and `doorbell` do.
 *
 * @throws SyncError with what to do; what was done by then stays, and all of it may be done again.
 */
export async function install(session: Session, plan: Plan, { withPortalTables, ...how }: Installation): Promise<void> {
  const { say, options } = session
  const { clinic, portal, plain, services, secrets } = plan
  const onLine = (line: string) => say(`  ${line}`)
  const doorbell = plain.CLINIC_DOORBELL as Parameters<typeof inDatabase>[0]
  // It ends by comparing the doorbell, which is switched on only further down.
  await migrate({
    side: 'clinic',
    url: clinic.url,
    doorbell,
    onLine: (line) => void (/ Next: /.test(line) || onLine(line)),
  })
  const connection = openScriptConnection(clinic.url)
  try {
    await runBatches(connection, loginSql('clinic', options.login, passwordOf(services.clinic)))
    onLine(`clinic: the services' login is ${options.login}`)
    if (how.enableBroker && doorbell === 'service-broker' && clinic.seen.isBrokerOn !== true) {
      await connection.batch(enableBroker(clinic.seen.database)).catch((error: unknown) => {
        throw toDatabaseError(error, 'switching Service Broker on')
      })
      onLine('clinic: Service Broker is on')
    }
  } finally {
    await connection.close()
  }
  await migrate({ side: 'portal', url: portal.url, withPortalTables, onLine })
  await onPortal(portal.url, loginSql('portal', options.login, passwordOf(services.portal)))
  onLine(`portal: the services' login is ${userOf(services.portal)}`)
  const again = openScriptConnection(clinic.url)
  try {
    await useDoorbell(again, {
      doorbell,
      ingressUrl: plain.DOORBELL_URL || plain.INGRESS_URL,
      secret: secrets.webhook_secret,
    })
    const rings = inDatabase(doorbell)
    onLine(
      rings === 'none'
        ? 'clinic: no doorbell of the database is switched on'
        : `clinic: the doorbell ${rings} is switched on`,
    )
  } finally {
    await again.close()
  }
}

async function onPortal(url: string, sql: string): Promise<void> {
  const client = new pg.Client(portalAddress(url))
  client.on('error', () => undefined)
  try {
    await client.connect()
    await client.query(sql)
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown'
    // Its text may hold the statement, and so the password.
    throw new SyncError('SYNC_MIGRATION_FAILED', `The portal refused to make the services' login (${code}).`, { cause })
  } finally {
    await client.end().catch(() => undefined)
  }
}
