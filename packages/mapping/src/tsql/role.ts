import { literal, script } from './text.ts'

/** What the services call. All else in schema sync is for these procedures only, and reached through them. */
export const SERVICE_PROCEDURES = [
  'TakeChanges',
  'SettleChanges',
  'ApplyPortalChanges',
  'ReadRows',
  'BackfillPage',
  'OpenRows',
  'WaitForChanges',
  'RingDoorbell',
  'OpenTransactions',
  'AwaitTransaction',
  'Inspect',
  'OutboxStatus',
  'Requeue',
  'RecordVersions',
  'RecordHistory',
  'Rulings',
  'RuledValues',
  'Bookkeeping',
  'HoldPortalChanges',
  'RecordStates',
  'SendCanary',
  'ReadCanary',
] as const

/** Migration 09: the role `clinic_sync`. Generated, so that it is applied again when there is another procedure. */
export function roleScript(): string {
  const about = `-- What the services' login may do: execute their procedures of schema sync, and see triggers, columns and constraints.
-- Safe to run again, and to be run again when a doorbell has been installed. The login: by-hand/service_login.sql.`
  const grants = SERVICE_PROCEDURES.map((procedure) => {
    const full = `sync.${procedure}`
    return `IF OBJECT_ID(${literal(full)}, N'P') IS NOT NULL GRANT EXECUTE ON ${full} TO clinic_sync`
  })
  return script(about, [
    "IF DATABASE_PRINCIPAL_ID(N'clinic_sync') IS NULL CREATE ROLE clinic_sync",
    `-- A role that stays with whoever ran this file would keep that user from being dropped.
${attempt('ALTER AUTHORIZATION ON ROLE::clinic_sync TO dbo', 'The role clinic_sync belongs to the user who made it')}`,
    grants.join('\n'),
    `-- Granted by earlier versions, with the procedures that are not for the services.
${attempt('REVOKE EXECUTE ON SCHEMA::sync FROM clinic_sync', 'Members of clinic_sync may execute what earlier versions granted')}`,
    `-- Metadata only: without it sync.Inspect cannot see the triggers, the queue and the sequence, and sync.ApplyPortalChanges knows the
-- mapping's limits only, not the columns' own.
${attempt('GRANT VIEW DEFINITION ON SCHEMA::dbo TO clinic_sync', 'Members of clinic_sync cannot see triggers and columns')}
${attempt('GRANT VIEW DEFINITION ON SCHEMA::sync TO clinic_sync', "Members of clinic_sync cannot see schema sync's objects")}`,
  ])
}

/**
 * A statement that an engine may not know, or not let this user do; what then follows is said. Babelfish's refusals cannot be
 * caught, so it is not asked.
 */
function attempt(statement: string, otherwise: string): string {
  const refused = literal(`${otherwise}: refused was ${statement}`)
  return `IF CONVERT(nvarchar(10), SERVERPROPERTY('Babelfish')) = N'1' PRINT ${refused}
ELSE
BEGIN
  BEGIN TRY
    EXEC (${literal(statement)})
  END TRY
  BEGIN CATCH
    PRINT ${refused} + N': ' + ERROR_MESSAGE()
  END CATCH
END`
}
