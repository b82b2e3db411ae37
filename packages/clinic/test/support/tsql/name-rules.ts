import { tables } from '@clinic-sync/mapping'
import { clinicTables } from './clinic-tables.ts'
import type { Rule, SqlFile } from './files.ts'
import { RESERVED } from './keywords.ts'
import { statementsWithin, type Token } from './tokens.ts'

/** OPENJSON's columns, and what FOR JSON and sys.* call theirs, are spelled as SQL Server spells them, whatever ours are. */
const OTHERS = new Set(['key', 'value', 'type', 'name'])

const codes = ({ batches }: SqlFile) => batches.flatMap(({ tokens }) => [tokens, ...statementsWithin(tokens)])

/** Names of the clinic's columns and of the portal's: `Days` is one, `days` the other, and a file may have both. */
const known = () =>
  new Set([
    ...[...clinicTables().values()].flatMap((columns) => [...columns]),
    ...tables.flatMap(({ columns, key }) => [key, ...columns].map(({ name }) => name)),
  ])

/** In a case-sensitive database `Status` and `status` are two columns, on such a server `@x` and `@X` two variables. */
export const oneSpelling: Rule = (file) => {
  const names = new Spellings(known())
  const wrong: string[] = []
  for (const tokens of codes(file)) {
    // A variable lives in its batch.
    const variables = new Spellings()
    tokens.forEach((token, i) => {
      if (token.kind === 'variable') {
        if (!token.text.startsWith('@@') && !isArgument(tokens, i)) variables.add(token)
      } else if (isName(token, tokens[i - 1], tokens[i + 1])) names.add(token)
    })
    wrong.push(...variables.wrong())
  }
  return [...wrong, ...names.wrong()]
}

/** What names are spelled like, and where first. Those of `free` are as they should be, however others are spelled. */
class Spellings {
  readonly #byLower = new Map<string, Map<string, number>>()
  readonly #free: ReadonlySet<string>
  constructor(free: ReadonlySet<string> = new Set()) {
    this.#free = free
  }
  add({ text, line }: Token): void {
    if (this.#free.has(text)) return
    const spelled = this.#byLower.get(text.toLowerCase()) ?? new Map<string, number>()
    this.#byLower.set(text.toLowerCase(), spelled)
    if (!spelled.has(text)) spelled.set(text, line)
  }
  wrong(): string[] {
    const free = new Set([...this.#free].map((name) => name.toLowerCase()))
    return [...this.#byLower].flatMap(([lower, spelled]) =>
      spelled.size > 1 || free.has(lower)
        ? [[...spelled].map(([text, line]) => `line ${line}: ${text}`).join(', ')]
        : [],
    )
  }
}

/** `@Name =` in a call: the procedure's own word for it. */
function isArgument(tokens: readonly Token[], at: number): boolean {
  if (tokens[at + 1]?.text !== '=' || !/^(?:,|[^,(=]*)$/.test(tokens[at - 1]?.text ?? '')) return false
  for (let i = at - 1; i >= 0; i--) {
    const { kind, upper } = tokens[i] as Token
    if (kind === 'word' && /^EXEC(?:UTE)?$/.test(upper)) return true
    if (kind === 'word' && /^(?:SET|SELECT|IF|WHERE|AND|OR|ON|DECLARE|BEGIN|END|UPDATE|INSERT|VALUES)$/.test(upper))
      return false
  }
  return false
}

/** The arguments of a call are spelled as the procedure spells its parameters. */
export const argumentsAsDeclared =
  (declared: ReadonlyMap<string, ReadonlySet<string>>): Rule =>
  (file) =>
    codes(file).flatMap((tokens) =>
      tokens.flatMap((token, i) => {
        if (token.kind !== 'variable' || !isArgument(tokens, i)) return []
        const call = tokens.slice(0, i).findLastIndex(({ upper }) => /^EXEC(?:UTE)?$/.test(upper))
        const called = tokens.slice(call + 1, i)
        const dot = called.findIndex(({ text }) => text === '.')
        const parameters = declared.get(`${called[dot - 1]?.text}.${called[dot + 1]?.text}`)
        return parameters === undefined || parameters.has(token.text)
          ? []
          : [`line ${token.line}: ${token.text} is none of ${[...parameters].join(', ')}`]
      }),
    )

/** The parameters of every procedure that the files make, by the procedure's full name. */
export function parametersOf(files: readonly SqlFile[]): Map<string, Set<string>> {
  const declared = new Map<string, Set<string>>()
  for (const { batches } of files)
    for (const { tokens } of batches) {
      if (tokens[0]?.upper !== 'ALTER' || tokens[1]?.upper !== 'PROCEDURE') continue
      const body = tokens.findIndex(({ upper }) => upper === 'BEGIN')
      const parameters = tokens.slice(5, body).filter(({ kind }) => kind === 'variable')
      declared.set(`${tokens[2]?.text}.${tokens[4]?.text}`, new Set(parameters.map(({ text }) => text)))
    }
  return declared
}

/** Not a keyword or a function, which are words in capitals; those are free to be spelled otherwise as a name. */
function isName(token: Token, before: Token | undefined, after: Token | undefined): boolean {
  if (token.kind === 'temp') return true
  if (token.kind === 'quoted') return !OTHERS.has(token.text)
  if (token.kind !== 'word') return false
  const qualified = before?.text === '.' || after?.text === '.'
  if (OTHERS.has(token.text)) return false
  return qualified || !/^[A-Z][A-Z_0-9]+$/.test(token.text)
}

/** Keywords are in capitals, so that whatever is not is a name. */
export const keywordsInCapitals: Rule = ({ batches }) =>
  batches.flatMap(({ tokens }) =>
    tokens.flatMap((token, i) =>
      token.kind === 'word' &&
      RESERVED.has(token.upper) &&
      token.text !== token.upper &&
      tokens[i - 1]?.text !== '.' &&
      tokens[i + 1]?.text !== '.'
        ? [`line ${token.line}: ${token.text}`]
        : [],
    ),
  )

/** In a case-sensitive database the catalog's names are in small letters. */
export const systemNamesSmall: Rule = (file) =>
  codes(file).flatMap((tokens) =>
    tokens.flatMap((token, i) =>
      tokens[i - 1]?.text === '.' && tokens[i - 2]?.upper === 'SYS' && tokens[i - 3]?.text !== '.'
        ? tokens[i - 2]?.text === 'sys' && (/^[a-z_0-9]+$/.test(token.text) || token.text.startsWith('sp_'))
          ? []
          : [`line ${token.line}: ${tokens[i - 2]?.text}.${token.text}`]
        : [],
    ),
  )

/** The clinic's tables and columns are spelled as the clinic spells them. */
export const clinicsSpelling: Rule = (file) => {
  const byLower = new Map([...clinicTables()].map(([name, columns]) => [name.toLowerCase(), { name, columns }]))
  return codes(file).flatMap((tokens) => {
    const aliases = aliasesOf(tokens, new Set(byLower.keys()))
    return tokens.flatMap((token, i) => {
      if (token.kind !== 'word' && token.kind !== 'quoted') return []
      const table = byLower.get(token.text.toLowerCase())
      if (table !== undefined && table.name !== token.text)
        return [`line ${token.line}: ${token.text} is ${table.name}`]
      const alias = tokens[i - 1]?.text === '.' ? tokens[i - 2]?.text : undefined
      const named = alias === undefined ? undefined : aliases.get(alias)
      if (named === undefined || named.has(OWN)) return []
      const spelled = [...named].flatMap((name) =>
        [...(byLower.get(name)?.columns ?? [])].filter((column) => column.toLowerCase() === token.text.toLowerCase()),
      )
      return spelled.length === 0 || spelled.includes(token.text)
        ? []
        : [`line ${token.line}: ${alias}.${token.text} is ${spelled.join(' or ')}`]
    })
  })
}

/** An alias of something that is not the clinic's. */
const OWN = ''

/** What each alias of a batch stands for: the clinic's tables of that alias, in small letters. */
function aliasesOf(tokens: readonly Token[], clinics: ReadonlySet<string>): Map<string, Set<string>> {
  const aliases = new Map<string, Set<string>>()
  const on = tokens.findIndex(({ upper }, i) => upper === 'ON' && tokens[i - 4]?.upper === 'TRIGGER')
  const watched = on < 0 ? undefined : tokens[on + 3]?.text.toLowerCase()
  tokens.forEach((token, i) => {
    if (!/^(?:FROM|JOIN|APPLY|,)$/.test(token.upper)) return
    let at = i + 1
    if (tokens[at + 1]?.text === '.') at += 2
    const name = tokens[at]?.text.toLowerCase() ?? ''
    const next = tokens[at + 1]?.upper === 'AS' ? tokens[at + 2] : tokens[at + 1]
    if (next?.kind !== 'word' || RESERVED.has(next.upper)) return
    const stands = /^(?:inserted|deleted)$/.test(name) && watched !== undefined ? watched : name
    const stood = aliases.get(next.text) ?? new Set()
    aliases.set(next.text, stood.add(clinics.has(stands) ? stands : OWN))
  })
  return aliases
}
