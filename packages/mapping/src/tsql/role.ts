import { literal, script } from './text.ts'

/** What the services call. All else in schema sync is for these procedures only, and reached through them. */
export const SERVICE_PROCEDURES = [
  'TakeChanges',
  'SettleChanges',
  'ApplyPortalChanges',
  'ReadRows',
  'BackfillPage',
  'WaitForChanges',
  'Inspect',
] as const

/** Migration 09: the role `clinic_sync`. Generated, so that it is applied again when there is another procedure. */
export function roleScript(): string {
  const about = `-- What the services' login may do: execute their procedures of schema sync, and see triggers, columns and constraints.
-- Safe to run again. Then, for the login that SQLSERVER_URL names:
--   CREATE LOGIN clinic_sync_service WITH PASSWORD = N'…'
--   CREATE USER clinic_sync_service FOR LOGIN clinic_sync_service
--   ALTER ROLE clinic_sync ADD MEMBER clinic_sync_service`
  const grants = SERVICE_PROCEDURES.map((procedure) => {
    const full = `sync.${procedure}`
    return `IF OBJECT_ID(${literal(full)}, N'P') IS NOT NULL GRANT EXECUTE ON ${full} TO clinic_sync`
  })
  return script(about, [
    "IF DATABASE_PRINCIPAL_ID(N'clinic_sync') IS NULL CREATE ROLE clinic_sync AUTHORIZATION dbo",
    `${grants.join('\n')}
-- Granted by earlier versions, with the procedures that are not for the services.
REVOKE EXECUTE ON SCHEMA::sync FROM clinic_sync`,
    `-- Metadata only: without it sync.Inspect takes the triggers for missing, and sync.ApplyPortalChanges knows the mapping's limits
-- only, not the columns' own.
GRANT VIEW DEFINITION ON SCHEMA::dbo TO clinic_sync`,
  ])
}
