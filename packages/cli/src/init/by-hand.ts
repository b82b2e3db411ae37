import { SECRETS } from './layout.ts'
import { callsByHttp } from '../doorbell/use.ts'
import { inDatabase } from '../migrate/choose.ts'
import { passwordOf, userOf } from './addresses.ts'
import { enableBroker } from './clinic.ts'
import type { Plan } from './init.ts'
import { loginSql } from './login-sql.ts'
import type { Session } from './session.ts'

/** What is shown in a password's place where it was on a screen before. */
const SEE = (file: string) => `the password in ${SECRETS}/${file}`

/** Everything to run by hand, in its order: each password once, and only where it is new. */
export function byHandLines({ options }: Session, { clinic, plain, services, kept }: Plan): string[] {
  const doorbell = plain.CLINIC_DOORBELL as Parameters<typeof inDatabase>[0]
  const indented = (sql: string) =>
    sql
      .trimEnd()
      .split('\n')
      .map((line) => `   ${line}`.trimEnd())
  return [
    '',
    'To install, run these as an administrator (or this command again with --install):',
    '',
    '1. npm run sync -- migrate        or by hand: migrations/sqlserver and migrations/postgres, in the order of their numbers',
    '',
    `2. The services' login on SQL Server, in SSMS, in the database ${clinic.seen.database}:`,
    '',
    ...indented(
      loginSql('clinic', options.login, kept.clinicLogin ? SEE('sqlserver_url') : passwordOf(services.clinic)),
    ),
    '',
    `3. The services' login on the portal (${userOf(services.portal)}), in Supabase's SQL editor:`,
    '',
    ...indented(
      loginSql('portal', options.login, kept.portalLogin ? SEE('postgres_url') : passwordOf(services.portal)),
    ),
    '',
    '4. The doorbell, in SSMS:',
    '',
    ...(doorbell === 'service-broker' && clinic.seen.isBrokerOn !== true
      ? [`   -- when nobody works, for it ends every open transaction:`, `   ${enableBroker(clinic.seen.database)}`]
      : []),
    callsByHttp(doorbell)
      ? '   npm run sync -- doorbell     (it hands the secret over)'
      : `   EXEC sync.UseDoorbell N'${inDatabase(doorbell)}';`,
  ]
}
