import { plain, tentative, tried } from './inspecting-facts.ts'
import { literal } from './text.ts'

/** The server: what it is, what it may do, its clock. */
export function server(): string {
  const options = [
    ['NestedTriggers', 'nested triggers'],
    ['OleAutomation', 'Ole Automation Procedures'],
    ['RestEndpoint', 'external rest endpoint enabled'],
  ].map(([as, option]) => `(N'${as}', N'${option}')`)
  return `${plain({
    EngineVersion: "SERVERPROPERTY('ProductVersion')",
    Edition: "SERVERPROPERTY('Edition')",
    EngineEdition: "SERVERPROPERTY('EngineEdition')",
    // sys.dm_os_host_info is of 2017, and needs VIEW SERVER STATE.
    Platform: "CASE WHEN CHARINDEX(N'LINUX', UPPER(@@VERSION)) > 0 THEN N'Linux' ELSE N'Windows' END",
    ServerCollation: "SERVERPROPERTY('Collation')",
    // Style 126 leaves out the milliseconds where they are 0.
    UtcNow: "LEFT(REPLACE(CONVERT(nvarchar(30), SYSUTCDATETIME(), 121), N' ', N'T'), 23)",
    UtcOffsetMinutes: 'DATEPART(TZOFFSET, SYSDATETIMEOFFSET())',
    Login: 'SUSER_SNAME()',
  })}

-- An option that this version does not know has no row: NULL.
${tried(
  ['NestedTriggers', 'OleAutomation', 'RestEndpoint'],
  `SELECT o.Name, CONVERT(nvarchar(400), c.value_in_use)
FROM (VALUES ${options.join(', ')}) o (Name, OptionName) LEFT JOIN sys.configurations c ON c.name = o.OptionName`,
)}`
}

/** The database's own properties. */
export function database(): string {
  const columns = [
    ['CompatibilityLevel', 'd.compatibility_level'],
    ['IsBrokerEnabled', 'CAST(d.is_broker_enabled AS int)'],
    ['IsReadCommittedSnapshot', 'CAST(d.is_read_committed_snapshot_on AS int)'],
  ].map(([as, value]) => `(N'${as}', CONVERT(nvarchar(400), ${value}))`)
  return `${plain({
    DatabaseName: 'DB_NAME()',
    Collation: "DATABASEPROPERTYEX(DB_NAME(), 'Collation')",
  })}

${tried(
  ['CompatibilityLevel', 'IsBrokerEnabled', 'IsReadCommittedSnapshot'],
  `SELECT v.Name, v.Value
FROM sys.databases d CROSS APPLY (VALUES ${columns.join(', ')}) v (Name, Value)
WHERE d.database_id = DB_ID()`,
)}

-- Whom EXECUTE AS OWNER takes for dbo. After a restore on another server that is nobody (error 15517).
${tried(
  ['Owner'],
  `SELECT N'Owner', CASE WHEN p.sid IS NULL THEN NULL WHEN SUSER_SNAME(p.sid) IS NULL THEN N'missing' ELSE N'valid' END
FROM sys.database_principals p WHERE p.name = N'dbo'`,
)}`
}

/** The doorbell's setting, and what Service Broker has of it. */
export function broker(): string {
  const setting = (name: string, value: string, otherwise: string) =>
    `COALESCE((SELECT ${value} FROM sync.Settings s WHERE s.Name = N'${name}'), N'${otherwise}')`
  return `${plain({
    Doorbell: setting('Doorbell', 's.Value', 'none'),
    DoorbellURL: setting('DoorbellURL', 's.Value', ''),
    DoorbellSecret: setting('DoorbellSecret', "CASE WHEN s.Value <> N'' THEN N'set' END", 'missing'),
  })}

${tentative(
  'BrokerQueue',
  `SET @value = COALESCE((SELECT CASE WHEN q.is_receive_enabled = 1 AND q.is_enqueue_enabled = 1 THEN N'enabled' ELSE N'disabled' END
FROM sys.service_queues q WHERE q.object_id = OBJECT_ID(N'sync.DoorbellQueue')), N'missing')`,
)}

-- Messages that the queue does not take: it is off, or the broker is. To the services' login the view is empty.
${tentative('BrokerBacklog', "SET @value = CASE WHEN IS_MEMBER(N'db_owner') = 1 THEN (SELECT CONVERT(nvarchar(400), COUNT(*)) FROM sys.transmission_queue) END")}`
}

/** What the sync has written down about itself. */
export function bookkeeping(): string {
  const statuses = ['Pending', 'Queued', 'Synced', 'Failed'].map((status) => `(${literal(status)})`)
  return `INSERT INTO @fact (Name, Value)
SELECT LEFT(N'migration:' + m.Name, 200), CONVERT(nvarchar(400), m.Checksum) FROM sync.Migrations m

-- Committed rows: those of transactions in flight are passed over.
INSERT INTO @fact (Name, Value)
SELECT N'outbox:' + n.Status, CONVERT(nvarchar(400), COALESCE(c.QueueRows, 0))
FROM (VALUES ${statuses.join(', ')}) n (Status)
  LEFT JOIN (SELECT q.Status, COUNT(*) AS QueueRows FROM dbo.SyncQueue q WITH (READCOMMITTEDLOCK, READPAST) GROUP BY q.Status) c
    ON c.Status = n.Status
INSERT INTO @fact (Name, Value)
SELECT N'OldestPendingSeconds', CONVERT(nvarchar(400), COALESCE(DATEDIFF_BIG(second, MIN(q.CreatedAt), SYSDATETIME()), 0))
FROM dbo.SyncQueue q WITH (READCOMMITTEDLOCK, READPAST) WHERE q.Status = N'Pending'

-- The sequence, not the table: settled rows are purged.
${plain({
  LastQueueID:
    "(SELECT CONVERT(bigint, s.current_value) FROM sys.sequences s WHERE s.object_id = OBJECT_ID(N'sync.QueueIDs'))",
  HighestSeenPortalVersion: '(SELECT COALESCE(MAX(s.SeenPortalVersion), 0) FROM sync.RowState s)',
})}`
}
