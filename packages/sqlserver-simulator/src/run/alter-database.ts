import type { Session } from '../engine/session.ts'
import { OPERATOR } from '../engine/permissions.ts'
import type { StatementOf } from '../sql/ast.ts'
import { SqlError } from '../values/errors.ts'

/** `ALTER DATABASE … SET ENABLE_BROKER` or `DISABLE_BROKER`, `WITH ROLLBACK IMMEDIATE`. @throws SqlError 226, 5011 */
export function setBroker({ database, enable }: StatementOf<'setBroker'>, session: Session): void {
  const { db } = session
  if (session.login !== OPERATOR || (database !== null && database.toLowerCase() !== db.name.toLowerCase()))
    throw new SqlError(
      5011,
      `User does not have permission to alter database '${database ?? db.name}', the database does not exist, or the database is not in a state that allows access checks.`,
      { severity: 14 },
    )
  if (session.transaction !== null)
    throw new SqlError(226, 'ALTER DATABASE statement not allowed within multi-statement transaction.')
  db.dropOthers(session)
  db.broker.isEnabled = enable
}
