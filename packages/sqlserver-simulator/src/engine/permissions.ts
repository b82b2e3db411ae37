import { SERVICE_PROCEDURES } from '@clinic-sync/mapping'
import { SqlError } from '../values/errors.ts'
import type { Session } from './session.ts'

/** The login with every right. */
export const OPERATOR = 'sa'
/** The least-privilege login that migrations/sqlserver/by-hand/service_login.sql makes: a member of role clinic_sync, no more. */
export const SERVICE_LOGIN = 'clinic_sync_service'
export const SERVICE_PASSWORD = 'Service_Login_1'

/** What role clinic_sync may execute, by 09_service_role.sql. */
const granted = new Set(SERVICE_PROCEDURES.map((name) => `sync.${name}`.toLowerCase()))

/** The login's user in the database. */
export const userOf = ({ login }: Session): string => (login === OPERATOR ? 'dbo' : login)

interface Name {
  readonly schema: string
  readonly name: string
}

/** Whether the session's login has that right on an object, which exists. Within a procedure nobody asks: its owner's count. */
export function may({ login, db }: Session, permission: string, { schema, name }: Name): boolean {
  if (login === OPERATOR || schema.toLowerCase() === 'sys') return true
  return permission === 'EXECUTE' && db.hasRole && granted.has(`${schema || 'dbo'}.${name}`.toLowerCase())
}

/** @throws SqlError 229 */
export function demand(session: Session, permission: string, object: Name): void {
  if (may(session, permission, object)) return
  throw new SqlError(
    229,
    `The ${permission} permission was denied on the object '${object.name}', database '${session.db.name}', schema '${object.schema || 'dbo'}'.`,
    { severity: 14, abort: 'batch' },
  )
}

/** For statements that alter a table. @throws SqlError 1088 */
export function demandAlter({ login }: Session, { schema, name }: Name): void {
  if (login === OPERATOR) return
  throw new SqlError(
    1088,
    `Cannot find the object "${schema || 'dbo'}.${name}" because it does not exist or you do not have permissions.`,
    { abort: 'batch' },
  )
}
