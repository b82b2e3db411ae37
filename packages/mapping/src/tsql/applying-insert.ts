import type { Table } from '../types.ts'
import { insertedColumns } from './applying-batch.ts'
import { readRow, typed } from './applying-column.ts'
import { insertProcedure } from './applying-writes.ts'
import { wrap } from './row.ts'
import { inClinic, indent, name, procedure } from './text.ts'

/**
 * IDENTITY_INSERT takes the right to alter the table, which the services do not have: hence a procedure that runs as the
 * owner. An explicit key below 0 leaves the table's next IDENTITY as it is.
 */
export function insertRows(table: Table): string {
  const columns = insertedColumns(table)
  const { value, apply } = readRow('a.[value]', 'r', columns)
  const target = inClinic(table)
  return procedure(
    insertProcedure(table),
    '@Rows nvarchar(max)',
    `
-- For sync.ApplyPortalChanges only, which has judged the values. @Rows: a JSON array of whole rows, values as text.
SET NOCOUNT ON
BEGIN TRY
  SET IDENTITY_INSERT ${target} ON
  INSERT INTO ${target} (${wrap(columns.map((column) => name(column.clinic)))})
  SELECT ${columns.map((column) => typed(column, value(column))).join(',\n    ')}
  FROM OPENJSON(@Rows) a${indent(apply, 2)}
  ORDER BY 1
  SET IDENTITY_INSERT ${target} OFF
END TRY
BEGIN CATCH
  -- One table a session can have it on, so it must not stay on whatever happens; the error to report is the first one.
  BEGIN TRY
    SET IDENTITY_INSERT ${target} OFF
  END TRY
  BEGIN CATCH
  END CATCH;
  THROW;
END CATCH`,
    'WITH EXECUTE AS OWNER',
  )
}
