import { GENERATED_HEADER } from '../generated.ts'
import type { Column, Table } from '../types.ts'

/** A quoted name: `[Type]`. */
export const name = (text: string) => `[${text.replaceAll(']', ']]')}]`

/** A table or view of the clinic's schema dbo. */
export const dbo = (text: string) => `dbo.${name(text)}`

/** The schema in the clinic of a synced table: the canary is in ours. */
export const schemaOf = ({ isOurs }: Pick<Table, 'isOurs'>) => (isOurs ? 'sync' : 'dbo')

/** Where in the clinic a synced table is. */
export const inClinic = (table: Table) => `${schemaOf(table)}.${name(table.clinic)}`

/** A string literal. */
export const literal = (text: string) => `N'${text.replaceAll("'", "''")}'`

/** Indents every line but the first. */
export const indent = (text: string, blanks: number) => text.replaceAll('\n', `\n${' '.repeat(blanks)}`)

/** The clinic's column of the table's column with that portal name. */
export function clinicColumn(table: Table, portalName: string): Column {
  const found = [table.key, ...table.columns].find((column) => column.name === portalName)
  if (found === undefined) throw new Error(`${table.name} has no column ${portalName}`)
  return found
}

/** A migration file: the SET options that indexes and triggers need, then batches. */
export function script(about: string, batches: readonly string[]): string {
  const options = `SET ANSI_NULLS, ANSI_PADDING, ANSI_WARNINGS, ARITHABORT, CONCAT_NULL_YIELDS_NULL, QUOTED_IDENTIFIER ON
SET NUMERIC_ROUNDABORT OFF
SET NOCOUNT ON
SET XACT_ABORT ON
-- What somebody's open transaction holds is waited for this long, then it is error 1222: run the file again later. While this waits
-- for a table, everybody else waits behind it.
SET LOCK_TIMEOUT 5000`
  return `${GENERATED_HEADER}${about}\n\n${[options, ...batches].map((batch) => `${batch}\nGO\n`).join('\n')}`
}

/**
 * A procedure, made if it is missing and altered otherwise: it is never absent while the services run, and keeps its
 * permissions. (CREATE OR ALTER needs 2016 SP1.)
 */
export function procedure(schemaAndName: string, parameters: string, body: string, options = ''): string {
  return `IF OBJECT_ID(${literal(schemaAndName)}, N'P') IS NULL EXEC (N'CREATE PROCEDURE ${schemaAndName} AS RETURN')
GO
ALTER PROCEDURE ${schemaAndName}${parameters === '' ? '' : ` ${parameters}`}${options === '' ? '' : `\n${options}`} AS
BEGIN
  ${indent(body.trim(), 2).replaceAll(/[ ]+$/gm, '')}
END`
}
