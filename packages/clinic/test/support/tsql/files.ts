import { readdirSync, readFileSync } from 'node:fs'
import { splitBatches } from '@clinic-sync/clinic'
import { type Token, tokensOf } from './tokens.ts'

const FOLDER = new URL('../../../../../migrations/sqlserver/', import.meta.url)

export interface SqlBatch {
  readonly sql: string
  readonly line: number
  readonly tokens: readonly Token[]
}

export interface SqlFile {
  /** Relative to migrations/sqlserver. */
  readonly name: string
  readonly sql: string
  readonly batches: readonly SqlBatch[]
}

/** Finds what is wrong with a file: `line N: …` each. */
export type Rule = (file: SqlFile) => readonly string[]

export function sqlFile(name: string, sql: string): SqlFile {
  const batches = splitBatches(sql).map((batch) => ({ ...batch, tokens: tokensOf(batch.sql, batch.line) }))
  return { name, sql, batches }
}

/** Every file of migrations/sqlserver, those that are run by hand as well. */
export function shippedFiles(): SqlFile[] {
  const names = readdirSync(FOLDER, { recursive: true, encoding: 'utf8' })
  return names
    .filter((name) => name.endsWith('.sql'))
    .sort()
    .map((name) => sqlFile(name, readFileSync(new URL(name, FOLDER), 'utf8')))
}
