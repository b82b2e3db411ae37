import { triggerName, watchedTables } from './capture.ts'
import { literal, procedure } from './text.ts'

/** `sync.Inspect`: what the doctor command checks. */
export function inspect(): string {
  const triggers = watchedTables()
    .map(({ clinicTable }) => `(${literal(triggerName(clinicTable))})`)
    .join(', ')
  return procedure(
    'sync.Inspect',
    '',
    `
-- What the doctor command looks at: names and what was found, '1' and '0' for yes and no.
SET NOCOUNT ON
SELECT N'EngineVersion' AS Name, CONVERT(nvarchar(400), SERVERPROPERTY('ProductVersion')) AS Value
UNION ALL SELECT N'DatabaseName', CONVERT(nvarchar(400), DB_NAME())
UNION ALL SELECT N'Collation', CONVERT(nvarchar(400), DATABASEPROPERTYEX(DB_NAME(), 'Collation'))
UNION ALL SELECT N'IsBrokerEnabled', CONVERT(nvarchar(400), CAST(d.is_broker_enabled AS int)) FROM sys.databases d WHERE d.name = DB_NAME()
UNION ALL SELECT N'IsReadCommittedSnapshot', CONVERT(nvarchar(400), CAST(d.is_read_committed_snapshot_on AS int))
  FROM sys.databases d WHERE d.name = DB_NAME()
UNION ALL SELECT N'trigger:' + n.Name, CASE WHEN t.name IS NULL THEN N'missing' WHEN t.is_disabled = 1 THEN N'disabled' ELSE N'enabled' END
  FROM (VALUES ${triggers}) n (Name) LEFT JOIN sys.triggers t ON t.name = n.Name`,
  )
}
