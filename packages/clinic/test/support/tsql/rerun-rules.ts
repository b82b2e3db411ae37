import type { Rule } from './files.ts'
import { codeOf, statementsWithin, type Token } from './tokens.ts'

/** Whatever a file creates, it looks for before, so that it can be run again. A trigger is dropped in the batch before. */
export const guarded: Rule = ({ batches }) =>
  batches.flatMap(({ tokens }, n) =>
    [tokens, ...statementsWithin(tokens)].flatMap((code) =>
      code.flatMap((token, i) => {
        if (token.upper !== 'CREATE' || code[i + 2]?.kind === 'temp') return []
        const what = `${code[i + 1]?.upper} ${nameAfter(code, i + 2)}`
        if (code[i + 1]?.upper === 'TRIGGER') {
          const before = codeOf(batches[n - 1]?.tokens ?? [])
          const dropped = before.startsWith('IF ') && before.endsWith(` DROP ${what}`)
          return i === 0 && dropped ? [] : [`line ${token.line}: ${what} is not dropped in the batch before`]
        }
        const head = tokens.findIndex(({ line }) => line >= token.line)
        const asked = /\b(?:IF|WHEN)\b.*\b(?:EXISTS|OBJECT_ID|SCHEMA_ID|COL_LENGTH|DATABASE_PRINCIPAL_ID)\b/
        return asked.test(codeOf(tokens.slice(0, code === tokens ? i : Math.max(head, 1) + 40)))
          ? []
          : [`line ${token.line}: ${what} is made without looking for it`]
      }),
    ),
  )

/** `dbo . X` */
function nameAfter(tokens: readonly Token[], from: number): string {
  const length = tokens[from + 1]?.text === '.' ? 3 : 1
  return codeOf(tokens.slice(from, from + length))
}

/** A column or constraint is added where it is missing only. */
export const columnsGuarded: Rule = ({ batches }) =>
  batches.flatMap(({ tokens }) =>
    tokens.flatMap((token, i) => {
      const code = codeOf(tokens.slice(0, i))
      if (token.upper !== 'ADD' || !/\bALTER TABLE (?:\S+ \. )?\S+$/.test(code)) return []
      return /\bIF (?:COL_LENGTH|NOT EXISTS|OBJECT_ID)\b/.test(code)
        ? []
        : [`line ${token.line}: ${tokens[i + 1]?.text} is added without looking for it`]
    }),
  )

/** Without the N a text goes through the code page of the database's collation: ? for what that lacks. */
export const nationalStrings: Rule = ({ batches }) =>
  batches.flatMap(({ tokens }) =>
    [tokens, ...statementsWithin(tokens)].flatMap((code) =>
      code.flatMap(({ kind, text, line, national }) =>
        kind === 'string' && !national && /[^\p{ASCII}]/u.test(text) ? [`line ${line}: '${text.slice(0, 20)}'`] : [],
      ),
    ),
  )

/** What no engine here can run says so where its reader begins. */
export const saysItNeverRan: Rule = ({ sql, name }) => {
  const header = /^(?:--[^\n]*\n)*/.exec(sql)?.[0] ?? ''
  if (!/^-- Doorbell: /m.test(header)) return []
  return [
    ...(/^-- Not yet run on a SQL Server\./m.test(header) ? [] : [`${name} does not say that it was never run`]),
    ...(/checked against Microsoft's pages/.test(header.replaceAll('\n-- ', ' '))
      ? []
      : [`${name} does not say how it was checked`]),
  ]
}

/** Whoever refuses to go on with SET NOEXEC ON switches it off at the end: SSMS keeps the session. */
export const noexecOff: Rule = ({ batches }) => {
  const codes = batches.map(({ tokens }) => codeOf(tokens))
  const on = codes.some((code) => code.includes('SET NOEXEC ON'))
  return !on || codes.at(-1) === 'SET NOEXEC OFF' ? [] : ['SET NOEXEC ON without SET NOEXEC OFF at the end']
}
