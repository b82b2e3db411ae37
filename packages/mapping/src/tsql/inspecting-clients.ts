import { watchedTables } from './capture.ts'
import { DOORBELL_TRIGGERS } from './inspecting-objects.ts'
import { wrap } from './row.ts'
import { literal } from './text.ts'

/** The words that may follow an OUTPUT clause, or the OUTPUT of a parameter. */
const ENDS = [
  'INTO',
  'VALUES',
  'SELECT',
  'FROM',
  'WHERE',
  'DEFAULT',
  'EXEC',
  'EXECUTE',
  'BEGIN',
  'INSERT',
  'UPDATE',
  'DELETE',
]

/**
 * The clinic's own procedures and triggers that name a watched table and have an OUTPUT clause without INTO, which fails on a
 * table with triggers (334). A guess from the text: comments and dynamic SQL are text like any other.
 */
export function clientsAtRisk(): string {
  const tables = watchedTables().map(({ clinicTable }) => `(${literal(clinicTable.toUpperCase())})`)
  const ours = Object.values(DOORBELL_TRIGGERS).map(literal)
  const ends = [`(N';')`, ...ENDS.map((word) => `(N' ${word} ')`), `(N' VALUES(')`]
  const capitals = (definition: string) =>
    `UPPER(${definition} COLLATE Latin1_General_CI_AS) COLLATE Latin1_General_BIN2`
  return `-- Procedures and triggers with OUTPUT but no INTO on our tables. Compared in capitals, whatever the database's collation.
DECLARE @module TABLE (ObjectID int NOT NULL PRIMARY KEY, Name nvarchar(200) NOT NULL)
DECLARE @object int, @code nvarchar(max), @at int, @rest nvarchar(4000), @end int, @word nvarchar(20)
BEGIN TRY
  INSERT INTO @module (ObjectID, Name)
  SELECT o.object_id, LEFT(SCHEMA_NAME(o.schema_id) + N'.' + o.name, 190)
  FROM sys.sql_modules m INNER JOIN sys.objects o ON o.object_id = m.object_id
  WHERE SCHEMA_NAME(o.schema_id) <> N'sync' AND LEFT(o.name, 9) <> N'trg_sync_'
    AND o.name NOT IN (${ours.join(', ')})
    AND CHARINDEX(N'OUTPUT', ${capitals('m.definition')}) > 0
    AND EXISTS (SELECT 1 FROM (VALUES
      ${wrap(tables, 6)}) t (Name)
      WHERE CHARINDEX(t.Name, ${capitals('m.definition')}) > 0)

  SET @object = (SELECT MIN(ObjectID) FROM @module)
  WHILE @object IS NOT NULL
  BEGIN
    SET @code = (SELECT REPLACE(REPLACE(REPLACE(${capitals('m.definition')},
      NCHAR(13), N' '), NCHAR(10), N' '), NCHAR(9), N' ') FROM sys.sql_modules m WHERE m.object_id = @object)
    SET @at = CHARINDEX(N' OUTPUT ', @code)
    WHILE @at > 0
    BEGIN
      -- The clause reaches to the nearest of these words.
      SELECT @rest = SUBSTRING(@code, @at + 7, 4000), @word = N'', @end = 4001
      SELECT TOP (1) @word = w.Word, @end = CHARINDEX(w.Word, @rest)
      FROM (VALUES ${wrap(ends, 8)}) w (Word)
      WHERE CHARINDEX(w.Word, @rest) > 0
      ORDER BY CHARINDEX(w.Word, @rest)
      IF @word <> N' INTO ' AND (CHARINDEX(N'INSERTED', LEFT(@rest, @end)) > 0 OR CHARINDEX(N'DELETED', LEFT(@rest, @end)) > 0)
      BEGIN
        INSERT INTO @fact (Name, Value) SELECT N'atRisk:' + m.Name, N'OUTPUT without INTO' FROM @module m WHERE m.ObjectID = @object
        SET @at = 0
      END
      ELSE SET @at = CHARINDEX(N' OUTPUT ', @code, @at + 7)
    END
    SET @object = (SELECT MIN(ObjectID) FROM @module WHERE ObjectID > @object)
  END
END TRY
BEGIN CATCH
  IF ERROR_NUMBER() IN (1205, 1222) THROW;
END CATCH`
}
