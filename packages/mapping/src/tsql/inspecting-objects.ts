import { triggerName, watchedTables } from './capture.ts'
import { tried } from './inspecting-facts.ts'
import { SERVICE_PROCEDURES } from './role.ts'
import { dbo, literal, name } from './text.ts'

/** The doorbells' triggers, all on dbo.SyncQueue, by their doorbell's name. Made by migrations 04, 07 and 08. */
export const DOORBELL_TRIGGERS = {
  'ole-automation': 'trg_SyncQueue_NotifyApp',
  'service-broker': 'trg_SyncQueue_RingServiceBroker',
  'rest-endpoint': 'trg_SyncQueue_NotifyAppByRest',
} as const

const captured = () => watchedTables().map(({ clinicTable }) => [triggerName(clinicTable), dbo(clinicTable)] as const)

const rows = (values: readonly (readonly string[])[]) =>
  values.map((row) => `(${row.map(literal).join(', ')})`).join(',\n  ')

/** Ours: there, on, and as generated; others on the same tables. */
export function triggers(): string {
  const ours = [
    ...captured(),
    ...Object.values(DOORBELL_TRIGGERS).map((trigger) => [trigger, 'dbo.[SyncQueue]'] as const),
  ]
  const watched = watchedTables().map(({ clinicTable }) => [clinicTable, dbo(clinicTable), triggerName(clinicTable)])
  return `-- A table that cannot be seen has no id: its triggers are not missing but unknown.
INSERT INTO @fact (Name, Value)
SELECT N'trigger:' + n.Name, CASE WHEN OBJECT_ID(n.TableName) IS NULL THEN NULL WHEN t.object_id IS NULL THEN N'missing'
  WHEN t.is_disabled = 1 THEN N'disabled' ELSE N'enabled' END
FROM (VALUES
  ${rows(ours)}) n (Name, TableName)
  LEFT JOIN sys.triggers t ON t.name = n.Name AND t.parent_id = OBJECT_ID(n.TableName)

-- SHA-256 of the definition in UTF-16LE without line ends, blanks and tabs, which editors change. (Some engines' text is not
-- UTF-16, and a collation may give control characters no weight.)
${tried(
  captured().map(([trigger]) => `definition:${trigger}`),
  `SELECT N'definition:' + n.Name, CASE WHEN DATALENGTH(CAST(N'ab' AS varbinary(10))) = 4 THEN LOWER(CONVERT(nvarchar(64),
    HASHBYTES('SHA2_256', REPLACE(REPLACE(REPLACE(REPLACE(OBJECT_DEFINITION(OBJECT_ID(n.FullName, N'TR')) COLLATE Latin1_General_BIN2,
      NCHAR(13), N''), NCHAR(10), N''), N' ', N''), NCHAR(9), N'')), 2)) END
FROM (VALUES
  ${rows(captured().map(([trigger]) => [trigger, dbo(trigger)]))}) n (Name, FullName)`,
)}

INSERT INTO @fact (Name, Value)
SELECT LEFT(N'otherTrigger:' + n.Name + N'.' + t.name, 200), CASE WHEN t.is_disabled = 1 THEN N'disabled' ELSE N'enabled' END
FROM (VALUES
  ${rows(watched)}) n (Name, FullName, OurTrigger)
  INNER JOIN sys.triggers t ON t.parent_id = OBJECT_ID(n.FullName) AND t.name <> n.OurTrigger`
}

/** What the login may do. */
export function rights(): string {
  const securables = [
    ...watchedTables().map(({ clinicTable }) => [`right:SELECT dbo.${clinicTable}`, dbo(clinicTable), 'SELECT']),
    ...SERVICE_PROCEDURES.map((procedure) => [`right:EXECUTE sync.${procedure}`, `sync.${name(procedure)}`, 'EXECUTE']),
  ]
  return `INSERT INTO @fact (Name, Value) VALUES
  (N'right:sysadmin', CONVERT(nvarchar(400), COALESCE(IS_SRVROLEMEMBER(N'sysadmin'), 0))),
  (N'right:db_owner', CASE WHEN USER_NAME() = N'dbo' THEN N'1' ELSE CONVERT(nvarchar(400), COALESCE(IS_MEMBER(N'db_owner'), 0)) END)
-- What is not there may not be used either.
INSERT INTO @fact (Name, Value)
SELECT n.Name, CONVERT(nvarchar(400), COALESCE(HAS_PERMS_BY_NAME(n.FullName, N'OBJECT', n.Permission), 0))
FROM (VALUES
  ${rows(securables)}) n (Name, FullName, Permission)`
}

/** The indexes that the procedures want and the clinic may lack: those that begin with the column. */
export function indexes(): string {
  const wanted = [
    ['tblwork', 'PersonID'],
    ['tblInvoice', 'AlignerSetID'],
  ] as const
  return `INSERT INTO @fact (Name, Value)
SELECT n.Name, CASE WHEN EXISTS (
    SELECT 1 FROM sys.index_columns k INNER JOIN sys.columns c ON c.object_id = k.object_id AND c.column_id = k.column_id
    WHERE k.object_id = OBJECT_ID(n.TableName) AND k.key_ordinal = 1 AND c.name = n.ColumnName) THEN N'1' ELSE N'0' END
FROM (VALUES
  ${rows(wanted.map(([table, column]) => [`index:${table}(${column})`, dbo(table), column]))}) n (Name, TableName, ColumnName)`
}
