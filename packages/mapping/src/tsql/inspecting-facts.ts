import { indent, literal } from './text.ts'

/** `(N'Name', value)` of each fact, a line each. `values` are T-SQL expressions, converted to text. */
export const pairs = (values: Readonly<Record<string, string>>) =>
  Object.entries(values)
    .map(([name, value]) => `(${literal(name)}, CONVERT(nvarchar(400), ${value}))`)
    .join(',\n  ')

/** Facts that every engine and every login can see. */
export const plain = (values: Readonly<Record<string, string>>) =>
  `INSERT INTO @fact (Name, Value) VALUES\n  ${pairs(values)}`

const unseen = (names: readonly string[]) =>
  `INSERT INTO @fact (Name) VALUES ${names.map((n) => `(${literal(n)})`).join(', ')}`

/** A lock that is not let go, or a deadlock, is an error: it says nothing of what was looked for. */
const otherwise = (names: readonly string[]) => `BEGIN CATCH
  IF ERROR_NUMBER() IN (1205, 1222) THROW;
  ${unseen(names)}
END CATCH`

/** A query of facts (Name, Value) that a login may not be allowed. Where it fails, the facts of these names are NULL. */
export const tried = (names: readonly string[], query: string) => `BEGIN TRY
  INSERT INTO @fact (Name, Value)
  ${indent(query, 2)}
END TRY
${otherwise(names)}`

/**
 * A fact from a view that some engines lack: the statement, which sets @value, is compiled when it runs, and within a TRY.
 * Where it fails, the fact is NULL.
 */
export const tentative = (name: string, statement: string) => `BEGIN TRY
  EXEC sp_executesql ${literal(statement)}, N'@value nvarchar(400) OUTPUT', @value OUTPUT
  INSERT INTO @fact (Name, Value) VALUES (${literal(name)}, @value)
END TRY
${otherwise([name])}`

/** The statements that gather facts in @fact, and the result. */
export function facts(parts: readonly string[]): string {
  return `DECLARE @fact TABLE (Name nvarchar(200) NOT NULL, Value nvarchar(400) NULL)
DECLARE @value nvarchar(400)

${parts.join('\n\n')}

SELECT Name, Value FROM @fact ORDER BY Name`
}
