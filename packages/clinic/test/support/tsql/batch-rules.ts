import type { Rule, SqlBatch } from './files.ts'
import { codeOf, type Token } from './tokens.ts'

/** What indexes on computed columns, filtered indexes and triggers need, whoever runs the file with whatever client. */
const OPTIONS =
  'SET ANSI_NULLS , ANSI_PADDING , ANSI_WARNINGS , ARITHABORT , CONCAT_NULL_YIELDS_NULL , QUOTED_IDENTIFIER ON ' +
  'SET NUMERIC_ROUNDABORT OFF SET NOCOUNT ON SET XACT_ABORT ON'

/** How long it waits for what somebody holds may follow. */
const PATIENCE = / SET LOCK_TIMEOUT \d{4}$/

/** GO lines that every tool splits at: sqlcmd refuses comments there, SSMS a semicolon. */
export const plainGo: Rule = ({ sql }) =>
  sql
    .split('\n')
    .flatMap((line, i) => (/^\s*GO\b/i.test(line) && !/^GO(?: \d+)?\r?$/.test(line) ? [`line ${i + 1}: ${line}`] : []))

export const optionsFirst: Rule = ({ batches: [first] }) =>
  first !== undefined && codeOf(first.tokens).replace(PATIENCE, '') === OPTIONS
    ? []
    : ['the SET options are not the first batch']

const MODULE = /^(?:PROC|PROCEDURE|TRIGGER|VIEW|FUNCTION|SCHEMA)$/

/** CREATE and ALTER of a module or a schema come first in their batch, and nothing follows what they make. */
export const modulesAlone: Rule = ({ batches }) =>
  batches.flatMap(({ tokens }) =>
    tokens.flatMap((token, i) => {
      if (!/^(?:CREATE|ALTER)$/.test(token.upper) || !MODULE.test(tokens[i + 1]?.upper ?? '')) return []
      if (i > 0) return [`line ${token.line}: ${token.upper} ${tokens[i + 1]?.upper} is not first in its batch`]
      const body = bodyOf(tokens)
      return body === null || body === tokens.length
        ? []
        : [`line ${tokens[body]?.line}: something follows what the batch makes`]
    }),
  )

/** Where the first block BEGIN … END of a batch ends; null: it has none. */
function bodyOf(tokens: readonly Token[]): number | null {
  let end: number | null = null
  walk(tokens, (depth, i) => {
    if (depth === 0 && end === null) end = i + 1
  })
  return end
}

type Opened = 'BEGIN' | 'TRY' | 'CATCH' | 'CASE'

/** Follows blocks; `onClose` gets the depth behind each END. Gives what does not match. */
function walk(tokens: readonly Token[], onClose: (depth: number, index: number) => void = () => undefined): string[] {
  const open: { what: Opened; line: number }[] = []
  const wrong: string[] = []
  tokens.forEach(({ kind, upper, line }, i) => {
    if (kind !== 'word') return
    const next = tokens[i + 1]?.upper ?? ''
    if (upper === 'CASE') open.push({ what: 'CASE', line })
    else if (upper === 'BEGIN' && !/^(?:TRAN|TRANSACTION|DIALOG|CONVERSATION|DISTRIBUTED)$/.test(next))
      open.push({ what: next === 'TRY' || next === 'CATCH' ? next : 'BEGIN', line })
    else if (upper === 'END' && next !== 'CONVERSATION') {
      const last = open.pop()
      const closes = next === 'TRY' || next === 'CATCH' ? [next] : ['BEGIN', 'CASE']
      if (last === undefined) wrong.push(`line ${line}: END without a BEGIN`)
      else if (!closes.includes(last.what)) wrong.push(`line ${line}: END closes the ${last.what} of line ${last.line}`)
      if (next === 'TRY' && !codeOf(tokens.slice(i + 2, i + 4)).startsWith('BEGIN CATCH'))
        wrong.push(`line ${line}: END TRY without BEGIN CATCH`)
      onClose(open.length, next === 'TRY' || next === 'CATCH' ? i + 1 : i)
    }
  })
  return [...wrong, ...open.map(({ what, line }) => `line ${line}: ${what} never ends`)]
}

/** Blocks, CASE and brackets are closed, in their batch. */
export const balanced: Rule = ({ batches }) => batches.flatMap(({ tokens }) => [...walk(tokens), ...brackets(tokens)])

function brackets(tokens: readonly Token[]): string[] {
  const open: number[] = []
  for (const { kind, text, line } of tokens) {
    if (kind !== 'sign') continue
    if (text === '(') open.push(line)
    else if (text === ')' && open.pop() === undefined) return [`line ${line}: ) without a (`]
  }
  return open.map((line) => `line ${line}: ( never ends`)
}

/**
 * THROW, SEND, RECEIVE and a common table expression take a semicolon before them: THROW is no reserved word, and would be the
 * name of a transaction after ROLLBACK, or of a column after SELECT.
 */
export const terminated: Rule = ({ batches }) => batches.flatMap((batch) => unterminated(batch))

function unterminated({ tokens }: SqlBatch): string[] {
  return tokens.flatMap(({ kind, upper, line }, i) => {
    if (kind !== 'word' || i === 0) return []
    const before = tokens[i - 1]
    const isCte = upper === 'WITH' && tokens[i + 2]?.upper === 'AS' && tokens[i + 3]?.text === '('
    const isSend = upper === 'SEND' && tokens[i + 1]?.upper === 'ON'
    const isReceive = upper === 'RECEIVE' && before?.text !== '('
    if ((isCte || isSend || isReceive) && !/^(?:;|AS|BEGIN)$/.test(before?.upper ?? ''))
      return [`line ${line}: ${upper} without a semicolon before it`]
    if (upper === 'THROW' && !mayThrow(tokens, i)) return [`line ${line}: THROW without a semicolon before it`]
    return []
  })
}

/** Behind a semicolon, or where a statement begins: BEGIN, ELSE, or the condition of an IF. */
function mayThrow(tokens: readonly Token[], at: number): boolean {
  let depth = 0
  for (let i = at - 1; i >= 0; i--) {
    const { kind, upper } = tokens[i] as Token
    if (upper === ')') depth++
    else if (upper === '(') depth--
    else if (depth > 0) continue
    else if (upper === ';') return true
    else if (kind !== 'word') continue
    else if (/^(?:IF|ELSE|BEGIN|CATCH|TRY)$/.test(upper)) return true
    else if (
      /^(?:SELECT|SET|EXEC|EXECUTE|ROLLBACK|COMMIT|INSERT|UPDATE|DELETE|RETURN|PRINT|RAISERROR|END|TRANSACTION)$/.test(
        upper,
      )
    )
      return false
  }
  return true
}
