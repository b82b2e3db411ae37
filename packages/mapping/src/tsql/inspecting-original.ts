import { DOORBELL_TRIGGERS } from './inspecting-objects.ts'
import { plain } from './inspecting-facts.ts'
import { NOT_TAKEN_OVER } from './original.ts'
import { literal } from './text.ts'

/**
 * What is left of the original system: whether its outbox is there, whether both sides have been compared since (`take-over`), rows that
 * something other than the sync has settled, and what still names the outbox: its triggers, and procedures of its application.
 */
export function original(): string {
  const ours = Object.values(DOORBELL_TRIGGERS).map(literal)
  return `${plain({
    OriginalQueue: "CASE WHEN OBJECT_ID(N'dbo.SyncQueue_original') IS NULL THEN N'absent' ELSE N'present' END",
    TakeOver: `CASE WHEN ${NOT_TAKEN_OVER} THEN N'missing' ELSE N'' END`,
  })}

-- The sync gives each row a version before it settles it; what it took over as settled is in the table set aside.
IF OBJECT_ID(N'dbo.SyncQueue_original') IS NOT NULL
  INSERT INTO @fact (Name, Value)
  SELECT N'SettledByOthers', CONVERT(nvarchar(400), COUNT(*))
  FROM dbo.SyncQueue q WITH (READCOMMITTEDLOCK, READPAST)
  WHERE q.Status = N'Synced' AND q.EventVersion IS NULL
    AND NOT EXISTS (SELECT 1 FROM dbo.SyncQueue_original o WHERE o.QueueID = q.QueueID AND o.Status = N'Synced')

IF OBJECT_ID(N'dbo.SyncQueue_original') IS NOT NULL
BEGIN
  BEGIN TRY
    INSERT INTO @fact (Name, Value)
    SELECT LEFT(N'original:' + SCHEMA_NAME(o.schema_id) + N'.' + o.name, 200), CASE WHEN t.object_id IS NULL THEN N''
      ELSE LEFT(OBJECT_NAME(t.parent_id), 390) + CASE WHEN t.is_disabled = 1 THEN N' (off)' ELSE N'' END END
    FROM sys.sql_modules m INNER JOIN sys.objects o ON o.object_id = m.object_id
      LEFT JOIN sys.triggers t ON t.object_id = o.object_id
    WHERE SCHEMA_NAME(o.schema_id) <> N'sync' AND LEFT(o.name, 9) <> N'trg_sync_' AND o.name NOT IN (${ours.join(', ')}, N'sp_NotifyAppOfSync')
      AND CHARINDEX(N'SYNCQUEUE', UPPER(m.definition COLLATE Latin1_General_CI_AS) COLLATE Latin1_General_BIN2) > 0
  END TRY
  BEGIN CATCH
    IF ERROR_NUMBER() IN (1205, 1222) THROW;
  END CATCH
END`
}
