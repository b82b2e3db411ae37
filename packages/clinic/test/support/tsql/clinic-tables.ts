import { readFileSync } from 'node:fs'
import { splitBatches } from '@clinic-sync/clinic'
import { type Token, tokensOf } from './tokens.ts'

const SCHEMA = new URL('../../../../sqlserver-simulator/clinic-schema.sql', import.meta.url)

let tables: ReadonlyMap<string, ReadonlySet<string>> | undefined

/** The clinic's own tables and views, each with its columns, spelled as the clinic spells them. */
export function clinicTables(): ReadonlyMap<string, ReadonlySet<string>> {
  tables ??= new Map([...read()].map(([name, columns]) => [name, new Set(columns)]))
  return tables
}

function* read(): Generator<[string, string[]]> {
  const added: [string, string][] = []
  for (const { sql } of splitBatches(readFileSync(SCHEMA, 'utf8'))) {
    const column = /ALTER TABLE dbo\.(\w+) ADD (\w+) AS/.exec(sql)
    if (column !== null) added.push([String(column[1]), String(column[2])])
    const tokens = tokensOf(sql)
    const at = tokens.findIndex(
      ({ upper }, i) => upper === 'CREATE' && /^(?:TABLE|VIEW)$/.test(tokens[i + 1]?.upper ?? ''),
    )
    if (at < 0) continue
    const name = String(tokens[at + 4]?.text)
    const columns = tokens[at + 1]?.upper === 'TABLE' ? columnsOf(tokens.slice(at + 6)) : outputsOf(tokens.slice(at))
    yield [name, [...columns, ...added.filter(([table]) => table === name).map(([, added]) => added)]]
  }
}

/** Names that follow the opening bracket or a comma of its level. */
function columnsOf(tokens: readonly Token[]): string[] {
  const columns: string[] = []
  let depth = 1
  tokens.forEach(({ text, upper }, i) => {
    if (depth === 1 && (i === 0 || tokens[i - 1]?.text === ',') && upper !== 'CONSTRAINT') columns.push(text)
    if (text === '(') depth++
    else if (text === ')') depth--
  })
  return columns.filter((name) => /^\w+$/.test(name))
}

/** What a view gives: its first column, and what follows AS. */
function outputsOf(tokens: readonly Token[]): string[] {
  return tokens.flatMap((token, i) => {
    const isAlias =
      tokens[i - 1]?.upper === 'AS' && token.kind === 'word' && !/^(?:SELECT|DECIMAL|NVARCHAR)$/.test(token.upper)
    const isFirst = tokens[i - 2]?.upper === 'S' && tokens[i - 3]?.upper === 'SELECT'
    return isAlias || isFirst ? [token.text] : []
  })
}
