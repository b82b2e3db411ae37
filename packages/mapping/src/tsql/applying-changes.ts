import type { Table } from '../types.ts'
import { declareBatch, fillBatch } from './applying-batch.ts'
import { lockRows } from './applying-lock.ts'
import { judgeValues, ruleOnRows } from './applying-rules.ts'
import { logConflicts, reportRows, writeRows } from './applying-writes.ts'
import { checkedArray, checkedRecords, number, tableName } from './arguments.ts'
import { NOT_TAKEN_OVER } from './original.ts'
import { IS_HELD } from './restoring.ts'
import { inClinic, indent, literal, procedure } from './text.ts'

const RECORDED = "(N'applied', N'unchanged', N'conflict')"

const CHANGE = [
  tableName,
  number('key', 'int'),
  number('version', 'bigint'),
  number('since', 'bigint', 'nullable'),
  { name: 'base', types: [0, 5] },
  { name: 'row', types: [0, 5] },
  { name: 'inexact', types: [3], optional: true },
] as const

/** The part of a table's records in the batch: ruled on, written, logged. */
function applyTable(table: Table): string {
  const steps = [
    fillBatch(table),
    lockRows(table),
    ruleOnRows(table),
    judgeValues(table),
    writeRows(table),
    logConflicts(table),
    reportRows(table),
  ]
  return `IF EXISTS (SELECT 1 FROM @change WHERE TableName = ${literal(table.name)} AND Outcome IS NULL)
BEGIN
  -- ${table.name}
  ${indent(steps.join('\n\n'), 2)}
END`
}

/** `sync.ApplyPortalChanges`: the clinic rules on the portal's edits. */
export function applyPortalChanges(mapped: readonly Table[]): string {
  const names = mapped.map((table) => literal(table.name)).join(', ')
  const objects = mapped.map((table) => `WHEN ${literal(table.name)} THEN OBJECT_ID(${literal(inClinic(table))})`)
  return procedure(
    'sync.ApplyPortalChanges',
    '@Changes nvarchar(max)',
    `
-- @Changes: [{"table", "key", "version", "since", "base", "row", "inexact"?}, …], each record at most once; times as the
-- clinic's wall clock. One row for each: Ordinal (from 1), Outcome, Code, Reason. One transaction: all or an error.
-- In the table variables: e_ the event's value as it travels, b_ the base's, ev_ and bv_ the same in the clinic's type, c_ the
-- clinic's, r_ the rule that decided, p_ whether the parent is there. Table variables outlive a rollback, take the
-- database's collation, and bring no recompilations.
SET NOCOUNT ON
${checkedArray('sync.ApplyPortalChanges', '@Changes', CHANGE)}
${checkedRecords('sync.ApplyPortalChanges', '@Changes')}
-- What doctors started from is not what is here: their edits would be ruled on as if staff had meant it.
IF ${IS_HELD}
BEGIN;
  THROW 51230, N'sync.ApplyPortalChanges: this database was restored from a backup, and that is not repaired yet', 1;
END
-- What never reached the clinic would be taken for what it has deleted. (No changes: who asks whether this procedure is here.)
IF EXISTS (SELECT 1 FROM OPENJSON(@Changes)) AND ${NOT_TAKEN_OVER}
BEGIN;
  THROW 51231, N'sync.ApplyPortalChanges: the original system''s outbox is here, and the two sides have not been compared yet', 1;
END
SET XACT_ABORT ON
SET TRANSACTION ISOLATION LEVEL READ COMMITTED
SET DEADLOCK_PRIORITY LOW
SET LOCK_TIMEOUT 250

DECLARE @change TABLE (
  Ordinal int NOT NULL PRIMARY KEY, TableName nvarchar(100) NOT NULL, RecordID int NOT NULL, Version bigint NOT NULL,
  Since bigint NULL, Base nvarchar(max) NULL, RowData nvarchar(max) NULL, Inexact bit NOT NULL,
  Seen bigint NOT NULL DEFAULT (0), Outcome nvarchar(20) NULL, Code nvarchar(64) NULL, Reason nvarchar(1000) NULL,
  Operation nvarchar(20) NULL, PortalValues nvarchar(max) NULL,
  UNIQUE (TableName, RecordID)
)
${mapped.map(declareBatch).join('\n')}
DECLARE @got int, @from int, @to int, @each bit, @held bit, @rows nvarchar(max), @ruled int = 0

BEGIN TRY
  INSERT INTO @change (Ordinal, TableName, RecordID, Version, Since, Base, RowData, Inexact)
  SELECT CAST(a.[key] AS int) + 1, e.TableName, e.RecordID, e.Version, e.Since,
    JSON_QUERY(a.[value], '$.base'), JSON_QUERY(a.[value], '$.row'), COALESCE(e.Inexact, 0)
  FROM OPENJSON(@Changes) a
    CROSS APPLY OPENJSON(a.[value]) WITH (TableName nvarchar(100) '$.table', RecordID int '$.key', Version bigint '$.version',
      Since bigint '$.since', Inexact bit '$.inexact') e

  BEGIN TRANSACTION
  -- One batch at a time: sync.RowState has no other writer, so it can be read before the rows are locked and written after.
  EXEC @got = sp_getapplock @Resource = N'sync.apply', @LockMode = N'Exclusive', @LockOwner = N'Transaction', @LockTimeout = 10000
  IF @got < 0
  BEGIN;
    THROW 51222, N'sync: another session is applying', 1;
  END

  UPDATE c SET Seen = s.SeenPortalVersion,
    -- What the doctor started from: what the clinic was told before, if it has had a part of these edits already.
    Base = CASE WHEN c.Since <= s.SeenPortalVersion THEN s.PortalValues ELSE c.Base END
  FROM @change c INNER JOIN sync.RowState s ON s.TableName = c.TableName AND s.RecordID = c.RecordID

  UPDATE @change SET Outcome = N'dead', Code = N'SYNC_NOT_PORTALS',
    Reason = LEFT(TableName + N': nothing of this table comes from the portal', 1000)
  WHERE TableName NOT IN (${names})
  UPDATE @change SET Outcome = CASE WHEN Version = Seen THEN N'duplicate' ELSE N'stale' END
  WHERE Version <= Seen AND Outcome IS NULL

  ${indent(mapped.map(applyTable).join('\n\n'), 2)}

  UPDATE s SET SeenPortalVersion = c.Version, PortalValues = c.PortalValues
  FROM @change c INNER JOIN sync.RowState s WITH (ROWLOCK) ON s.TableName = c.TableName AND s.RecordID = c.RecordID
  WHERE c.Outcome IN ${RECORDED}
  INSERT INTO sync.RowState (TableName, RecordID, SeenPortalVersion, PortalValues)
  SELECT c.TableName, c.RecordID, c.Version, c.PortalValues
  FROM @change c
  WHERE c.Outcome IN ${RECORDED}
    AND NOT EXISTS (SELECT 1 FROM sync.RowState s WHERE s.TableName = c.TableName AND s.RecordID = c.RecordID)

  INSERT INTO dbo.SyncQueue (TableName, RecordID, Operation)
  SELECT c.TableName, c.RecordID, c.Operation FROM @change c WHERE c.Operation IS NOT NULL ORDER BY c.Ordinal
  COMMIT TRANSACTION
END TRY
BEGIN CATCH
  IF XACT_STATE() <> 0 ROLLBACK TRANSACTION
  SET LOCK_TIMEOUT -1
  -- Alone in its batch, it is known which record it was. A lock, of an index or in a trigger of the clinic's: later.
  IF (SELECT COUNT(*) FROM @change) = 1 AND ERROR_NUMBER() = 1222
  BEGIN
    UPDATE @change SET Outcome = N'retry', Code = N'1222', Reason = N'locked in the clinic'
    SET @ruled = 1
  END
  -- A CHECK of the clinic's own: never. Its text holds a rule, and no value of a patient's.
  IF (SELECT COUNT(*) FROM @change) = 1 AND ERROR_NUMBER() = 547
  BEGIN
    UPDATE c SET Outcome = N'dead', Code = N'SYNC_BAD_VALUE', Reason = LEFT(c.TableName + N'/' + CONVERT(nvarchar(11), c.RecordID)
      + N': the clinic''s CHECK ' + k.name + N' refuses it: ' + k.definition, 1000)
    FROM @change c INNER JOIN sys.check_constraints k ON CHARINDEX(N'"' + k.name + N'"', ERROR_MESSAGE()) > 0
      AND k.parent_object_id = CASE c.TableName ${objects.join(' ')} END
    SET @ruled = @@ROWCOUNT
  END
  IF @ruled = 0 THROW;
END CATCH

SELECT Ordinal, CAST(Outcome AS varchar(20)) AS Outcome, CAST(Code AS varchar(64)) AS Code, Reason FROM @change ORDER BY Ordinal

SET LOCK_TIMEOUT -1`,
  )
}

/** What the generator can express. */
export function assertApplicable(table: Table): void {
  if (table.clinicIsView) throw new Error(`${table.name}: the clinic computes it, so it cannot sync back`)
  if (table.columns.every(({ owner }) => owner === 'clinic')) throw new Error(`${table.name}: no column is shared`)
}
