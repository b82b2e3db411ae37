import { sharedColumns } from '../tables/index.ts'
import type { Column, Table } from '../types.ts'
import { batchOf, insertedColumns, lines } from './applying-batch.ts'
import { merging, variable } from './applying-column.ts'
import { limitsOf } from './applying-limits.ts'
import { literal } from './text.ts'

/** A doctor's value is written where only the doctor changed it (3), or where both did (4) and the policy is the portal's. */
export const writes = (column: Column) =>
  column.policy === 'portal-wins' ? `x.${variable('r', column)} IN (3, 4)` : `x.${variable('r', column)} = 3`

/** design.md, "Applying", portal → clinic: which rule decides each shared column, and what is to be done with the row. */
export function ruleOnRows(table: Table): string {
  const batch = batchOf(table)
  const shared = sharedColumns(table)
  return `-- 1: equal already. 2: the doctor did not touch it. 3: the clinic did not touch it. 4: both did. 0: not shared in this row.
UPDATE x SET
  ${lines(shared.map(ruleOf))}
FROM ${batch} x
WHERE x.Found = 1 AND x.HasRow = 1 AND x.Outcome IS NULL

UPDATE x SET Action = CASE
    ${actions(table).join('\n    ')} END
FROM ${batch} x
WHERE x.Outcome IS NULL`
}

function ruleOf(column: Column): string {
  const { clinicIsNew, newIsBase, clinicIsBase } = merging(column)
  return `${variable('r', column)} = CASE
    WHEN x.IsShared = 0 THEN 0
    WHEN ${clinicIsNew} THEN 1
    WHEN x.HasBase = 1
      AND ${newIsBase} THEN 2
    WHEN x.HasBase = 1
      AND ${clinicIsBase} THEN 3
    ELSE 4 END`
}

function actions(table: Table): string[] {
  const shared = sharedColumns(table)
  const untouched = shared.map((column) => merging(column).clinicIsBase)
  return [
    `WHEN x.HasRow = 1 AND x.Found = 1 AND (${shared.map(writes).join(' OR ')}) THEN N'UPDATE'`,
    ...(table.portalInserts
      ? ["WHEN x.HasRow = 1 AND x.Found = 0 AND x.IsFirst = 1 AND x.RecordID < 0 THEN N'INSERT'"]
      : []),
    ...(table.deletes.portal === 'propagate'
      ? [
          `WHEN x.HasRow = 0 AND x.Found = 1 AND x.HasBase = 1 AND x.IsShared = 1
      AND ${untouched.join('\n      AND ')} THEN N'DELETE'`,
        ]
      : []),
  ]
}

/** What the clinic cannot take: judged only for what would be written, and named without the value. */
export function judgeValues(table: Table): string {
  const { key, portalInserts } = table
  const columns = portalInserts ? insertedColumns(table).filter((column) => column !== key) : sharedColumns(table)
  const limits = columns.flatMap((column) => {
    const shared = column.owner === 'shared'
    return limitsOf(table, column).map(({ broken, message, insertOnly }) => {
      const cases = [
        ...(portalInserts ? ["x.Action = N'INSERT'"] : []),
        ...(shared && !insertOnly ? [writes(column)] : []),
      ]
      const when = cases.length > 1 ? `(${cases.join(' OR ')})` : cases[0]
      return `WHEN ${when}\n      AND ${broken}\n      THEN ${message}`
    })
  })
  const parts = [
    `-- What the clinic cannot take. Nothing of it is recorded, so that it can be replayed once it can be taken.
UPDATE x SET Outcome = N'dead', Code = N'SYNC_BAD_VALUE',
  Reason = LEFT(${literal(`${table.name}/`)} + CONVERT(nvarchar(11), x.RecordID) + N': ' + j.Broken, 1000)
FROM ${batchOf(table)} x
  CROSS APPLY (SELECT CASE
    ${limits.join('\n    ')} END AS Broken) j
WHERE x.Action IN (N'INSERT', N'UPDATE') AND x.Outcome IS NULL AND j.Broken IS NOT NULL`,
  ]
  if (portalInserts) {
    parts.push(`UPDATE x SET Outcome = N'dead', Code = N'SYNC_BAD_VALUE',
  Reason = ${literal(`${table.name}/`)} + CONVERT(nvarchar(11), x.RecordID) + ${literal(`: ${key.name}: a record born in the portal has a key below 0`)}
FROM ${batchOf(table)} x
WHERE x.HasRow = 1 AND x.Found = 0 AND x.IsFirst = 1 AND x.HasBase = 0 AND x.RecordID > 0 AND x.Outcome IS NULL`)
  }
  return parts.join('\n\n')
}
