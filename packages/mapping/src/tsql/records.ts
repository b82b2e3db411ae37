import { syncedTables } from '../tables/index.ts'
import type { Table } from '../types.ts'
import { checkedMax, checkedTable, refuse } from './arguments.ts'
import { inScope } from './scope.ts'
import { inClinic, indent, literal, name, procedure } from './text.ts'

const PREAMBLE = `SET XACT_ABORT ON
SET TRANSACTION ISOLATION LEVEL READ COMMITTED
SET DEADLOCK_PRIORITY LOW
SET LOCK_TIMEOUT 10000`
const NOW = 'DECLARE @now datetime2(3) = SYSDATETIME()'

/** Of a row of sync.Conflicts with the alias `c`, without values. */
const RULING = `CONVERT(varchar(20), c.ConflictID) AS ConflictID, c.TableName, c.RecordID, c.ColumnName, c.Ruling,
  CONVERT(varchar(20), c.PortalVersion) AS PortalVersion, DATEDIFF_BIG(millisecond, c.RuledAt, @now) AS RuledMs, SYSUTCDATETIME() AS UtcNow`

/** Sets @presence; fails with 1222 where somebody's open transaction holds what must be read for it. */
function lookFor(table: Table): string {
  const from = `${inClinic(table)} t${table.clinicIsView ? '' : ' WITH (FORCESEEK)'}`
  const key = `t.${name(table.key.clinic)} = @Key`
  const scope = inScope(table, 't')
  const there = `EXISTS (SELECT 1 FROM ${from} WHERE ${key})`
  const synced = scope === null ? there : `EXISTS (SELECT 1 FROM ${from} WHERE ${key}\n    AND ${indent(scope, 4)})`
  const unsynced = scope === null ? '' : `\n    WHEN ${there} THEN N'unsynced'`
  return `IF @Table = ${literal(table.name)}
  SET @presence = CASE
    WHEN ${synced} THEN N'synced'${unsynced}
    ELSE N'absent' END`
}

/** `sync.RecordHistory`: one record's story. */
export function recordHistory(): string {
  return procedure(
    'sync.RecordHistory',
    '@Table nvarchar(100), @Key int, @Max int',
    `
-- What the clinic knows of one record beside the record itself. Three result sets: one row of UtcNow, Presence (synced, unsynced: it
-- is there and the mapping leaves it out, absent; NULL: somebody's open transaction holds it, and who reads it waits), Seen, the
-- portal's version processed last (0: none), PortalValues, Hold, why nothing of the portal's is applied (NULL: it is), and OutboxRows;
-- the @Max latest of its outbox rows, with ages (ms), since the clock here is not UTC; and the @Max latest of its conflicts, without
-- values. Waits for nobody, and is all index seeks. What somebody's open transaction has queued is often why a change does not arrive:
-- such outbox rows are told too, with IsUncommitted = 1.
SET NOCOUNT ON
${checkedTable('sync.RecordHistory', syncedTables)}
${refuse(51200, '@Key IS NULL', 'sync.RecordHistory: @Key must not be NULL')}
${checkedMax('sync.RecordHistory')}
${PREAMBLE}
${NOW}
DECLARE @presence nvarchar(20)

SET XACT_ABORT OFF
SET LOCK_TIMEOUT 0
BEGIN TRY
  ${indent(syncedTables.map(lookFor).join('\n'), 2)}
END TRY
BEGIN CATCH
  IF ERROR_NUMBER() <> 1222 THROW;
END CATCH
SET LOCK_TIMEOUT 10000
SET XACT_ABORT ON

SELECT SYSUTCDATETIME() AS UtcNow, @presence AS Presence,
  CONVERT(varchar(20), COALESCE(s.SeenPortalVersion, 0)) AS Seen, s.PortalValues,
  (SELECT MAX(h.Value) FROM sync.Settings h WITH (READUNCOMMITTED) WHERE h.Name = N'Restored') AS Hold,
  (SELECT COUNT(*) FROM dbo.SyncQueue q WITH (READUNCOMMITTED) WHERE q.TableName = @Table AND q.RecordID = @Key) AS OutboxRows
FROM (SELECT 1 AS One) o
  LEFT JOIN sync.RowState s WITH (READUNCOMMITTED) ON s.TableName = @Table AND s.RecordID = @Key

SELECT CONVERT(varchar(20), q.QueueID) AS QueueID, q.Operation, q.Status, q.Attempts, q.LastError,
  CONVERT(varchar(20), q.EventVersion) AS EventVersion, DATEDIFF_BIG(millisecond, q.CreatedAt, @now) AS CapturedMs,
  DATEDIFF_BIG(millisecond, q.LastAttempt, @now) AS AttemptMs,
  CAST(CASE WHEN q.Status = N'Pending' AND q.EventVersion IS NULL AND NOT EXISTS (
    SELECT 1 FROM dbo.SyncQueue c WITH (READCOMMITTEDLOCK, READPAST) WHERE c.QueueID = q.QueueID) THEN 1 ELSE 0 END AS bit) AS IsUncommitted
FROM (SELECT TOP (@Max) r.QueueID, r.Operation, r.Status, r.Attempts, r.LastError, r.EventVersion, r.CreatedAt, r.LastAttempt
  FROM dbo.SyncQueue r WITH (READUNCOMMITTED)
  WHERE r.TableName = @Table AND r.RecordID = @Key ORDER BY r.QueueID DESC) q
ORDER BY q.QueueID DESC

SELECT TOP (@Max) ${RULING}
FROM sync.Conflicts c WITH (READCOMMITTEDLOCK, READPAST)
WHERE c.TableName = @Table AND c.RecordID = @Key
ORDER BY c.ConflictID DESC

SET LOCK_TIMEOUT -1`,
  )
}

/** `sync.Rulings`: the log of conflicts, in pages. */
export function rulings(): string {
  return procedure(
    'sync.Rulings',
    '@Before bigint, @Max int',
    `
-- The @Max latest conflicts with ids below @Before (NULL: from the latest on), without values. Waits for nobody: one that is being
-- logged at this moment is left out.
SET NOCOUNT ON
${checkedMax('sync.Rulings')}
${PREAMBLE}
${NOW}

SELECT TOP (@Max) ${RULING}
FROM sync.Conflicts c WITH (READCOMMITTEDLOCK, READPAST)
WHERE c.ConflictID < COALESCE(@Before, 9223372036854775807)
ORDER BY c.ConflictID DESC

SET LOCK_TIMEOUT -1`,
  )
}

/** `sync.RuledValues`: what one conflict was about. */
export function ruledValues(): string {
  return procedure(
    'sync.RuledValues',
    '@ID bigint',
    `
-- One conflict with its values, as they travel, instants by the clinic's wall clock; no row: there is none. ColumnName NULL: whole rows,
-- as JSON.
SET NOCOUNT ON
${PREAMBLE}

SELECT c.TableName, c.ColumnName, c.ClinicValue, c.PortalValue, c.BaseValue
FROM sync.Conflicts c WITH (READCOMMITTEDLOCK, READPAST)
WHERE c.ConflictID = @ID

SET LOCK_TIMEOUT -1`,
  )
}
