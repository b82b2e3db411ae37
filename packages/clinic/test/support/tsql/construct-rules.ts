import { clinicTables } from './clinic-tables.ts'
import type { Rule, SqlBatch } from './files.ts'
import { codeOf, statementsWithin, type Token } from './tokens.ts'

/** What SQL Server 2016 RTM lacks: [version that brought it, what]. */
const TOO_NEW: readonly (readonly [string, RegExp])[] = [
  ['2016 SP1', /\bCREATE OR ALTER\b|\bUSE HINT\b/],
  ['2017', /\b(?:STRING_AGG|TRIM|CONCAT_WS|TRANSLATE) \(|\bAS (?:NODE|EDGE)\b/],
  ['2019', /\bAPPROX_COUNT_DISTINCT \(|_UTF8\b|\bRESUMABLE =|\bOPTIMIZE_FOR_SEQUENTIAL_KEY\b/],
  [
    '2022',
    /\b(?:GREATEST|LEAST|DATE_BUCKET|DATETRUNC|GENERATE_SERIES|LEFT_SHIFT|RIGHT_SHIFT|BIT_COUNT|GET_BIT|SET_BIT|JSON_OBJECT|JSON_ARRAY|JSON_PATH_EXISTS) \(/,
  ],
  ['2022', /\bIS (?:NOT )?DISTINCT FROM\b|\b(?:IGNORE|RESPECT) NULLS\b|\bWINDOW \w+ AS \(|\bISJSON \( [^()]+ , /],
  ['2022', /\bSTRING_SPLIT \( [^()]+ , [^()]+ , /],
  [
    '2025',
    /\bREGEXP_\w+ \(|\b(?:JSON_CONTAINS|JSON_OBJECTAGG|JSON_ARRAYAGG|BASE64_ENCODE|UNISTR|PRODUCT) \(|\bCURRENT_DATE\b| \|\| /,
  ],
]

/** What no migration may do, and why. */
const FORBIDDEN: readonly (readonly [string, RegExp])[] = [
  ['races with itself; UPDATE, then INSERT', /\bMERGE (?:INTO |TOP |DBO |SYNC |\S+ (?:AS |WITH )?\S* ?USING )/],
  ['reads what is not committed, and rows twice or never', /\bNOLOCK\b/],
  [
    'holds up what has nothing to do with it',
    /\bSET TRANSACTION ISOLATION LEVEL (?:SERIALIZABLE|REPEATABLE READ|SNAPSHOT)\b/,
  ],
  ['fires no triggers', /\bTRUNCATE TABLE\b|\bBULK INSERT\b/],
  ['opens the whole server', /\bXP_CMDSHELL\b|\bTRUSTWORTHY ON\b/],
  ['is not what this session inserted', /@@identity\b|\bIDENT_CURRENT \(/i],
  ['polls', /\bWAITFOR (?:DELAY|TIME)\b/],
  ['limits the triggers’ statements too', /\bSET ROWCOUNT (?!0\b)/],
  ['is on its way out', /\b(?:NTEXT|IMAGE)\b|\bRAISERROR \d|\bSP_DROPSERVER\b|\bSETUSER\b/],
]

const REST_ENDPOINT = /\bSP_INVOKE_EXTERNAL_REST_ENDPOINT\b/

/** Batches, and the statements within their strings. */
const allCode = ({ batches }: { batches: readonly SqlBatch[] }) =>
  batches.flatMap(({ tokens }) => [tokens, ...statementsWithin(tokens)])

/** Every match of a list in a file, with its line. */
const find =
  (list: readonly (readonly [string, RegExp])[]): Rule =>
  (file) =>
    allCode(file).flatMap((tokens) =>
      list.flatMap(([why, pattern]) => {
        const found = pattern.exec(codeOf(tokens))
        return found === null ? [] : [`line ${lineOf(tokens, found.index)}: ${found[0]} (${why})`]
      }),
    )

/** The line of the token at that place in `codeOf`. */
function lineOf(tokens: readonly Token[], place: number): number {
  let at = 0
  for (const token of tokens) {
    at += (token.kind === 'string' ? (token.national ? 3 : 2) : token.upper.length) + 1
    if (at > place) return token.line
  }
  return 0
}

export const runsOn2016: Rule = find(TOO_NEW)
export const nothingForbidden: Rule = find(FORBIDDEN)

/** `sp_invoke_external_rest_endpoint` is of 2025: in the file that is for it, and nowhere else. */
export const restEndpointApart: Rule = (file) =>
  /^-- Doorbell: rest-endpoint$/m.test(file.sql) ? [] : find([['2025', REST_ENDPOINT]])(file)

/** A table with triggers refuses OUTPUT without INTO (334), and the clinic's have some. */
export const outputInto: Rule = (file) =>
  allCode(file).flatMap((tokens) =>
    tokens.flatMap((token, i) => {
      if (token.upper !== 'OUTPUT' || !/^(?:INSERTED|DELETED)$/.test(tokens[i + 1]?.upper ?? '')) return []
      const rest = tokens.slice(i + 1, i + 60)
      const end = rest.findIndex(({ upper }) => /^(?:FROM|VALUES|SELECT|WHERE|;)$/.test(upper))
      const into = rest.findIndex(({ upper }) => upper === 'INTO')
      return into >= 0 && (end < 0 || into < end) ? [] : [`line ${token.line}: OUTPUT without INTO`]
    }),
  )

/** A table that a SELECT makes has the types and the collation of the moment. */
export const noSelectInto: Rule = (file) =>
  allCode(file).flatMap((tokens) =>
    tokens.flatMap((token, i) =>
      token.upper === 'INTO' && headOf(tokens, i) === 'SELECT' ? [`line ${token.line}: SELECT … INTO`] : [],
    ),
  )

/** The statement that a clause belongs to: the nearest verb before it outside brackets. */
function headOf(tokens: readonly Token[], at: number): string | undefined {
  let depth = 0
  for (let i = at - 1; i >= 0; i--) {
    const { kind, upper } = tokens[i] as Token
    if (upper === ')') depth++
    else if (upper === '(') {
      if (depth === 0) continue
      depth--
    } else if (depth === 0 && kind === 'word' && /^(?:SELECT|INSERT|OUTPUT|RECEIVE|FETCH)$/.test(upper)) return upper
  }
  return undefined
}

/** A batch is compiled before its ALTER TABLE has run: the column is not there yet (207). Babelfish would let it pass. */
export const columnsInTheirOwnBatch: Rule = ({ batches }) =>
  batches.flatMap(({ tokens }) =>
    tokens.flatMap((token, i) => {
      if (
        token.upper !== 'ADD' ||
        !codeOf(tokens.slice(0, i)).match(/\bALTER TABLE (?:\S+ \. )?\S+(?: WITH (?:NO)?CHECK)?$/)
      )
        return []
      const added = tokens[i + 1]
      if (added === undefined || /^(?:CONSTRAINT|SIGNATURE|MEMBER)$/.test(added.upper)) return []
      const used = tokens.filter(
        (other) =>
          other !== added &&
          /^(?:word|quoted)$/.test(other.kind) &&
          other.text.toLowerCase() === added.text.toLowerCase(),
      )
      return used.map(({ line }) => `line ${line}: ${added.text} is added and used in one batch`)
    }),
  )

/** Names of another database. `master.sys` is in every server. */
export const noThreePartNames: Rule = (file) =>
  allCode(file).flatMap((tokens) =>
    tokens.flatMap((token, i) => {
      const [a, dot1, b, dot2, c] = tokens.slice(i, i + 5)
      const isName = (part: Token | undefined) => part?.kind === 'word' || part?.kind === 'quoted'
      if (!isName(a) || dot1?.text !== '.' || !isName(b) || dot2?.text !== '.' || !isName(c)) return []
      if (tokens[i - 1]?.text === '.' || /^MASTER \. SYS$/.test(codeOf(tokens.slice(i, i + 3)))) return []
      return [`line ${token.line}: ${a?.text}.${b?.text}.${c?.text}`]
    }),
  )

/** On the clinic's own tables a range lock stops other people's inserts, and a dirty read lies. */
export const noHintsOnTheClinic: Rule = (file) => {
  const tables = new Set([...clinicTables().keys()].map((name) => name.toLowerCase()))
  return allCode(file).flatMap((tokens) =>
    tokens.flatMap((token, i) => {
      const hint = /^(?:HOLDLOCK|SERIALIZABLE|READUNCOMMITTED|TABLOCK|TABLOCKX)$/.exec(token.upper)?.[0]
      if (hint === undefined) return []
      const before = tokens.slice(0, i).map(({ upper }) => upper)
      const opens = before.lastIndexOf('WITH')
      // dbo . Table [AS] [alias] WITH ( …
      const table = tokens.slice(Math.max(0, opens - 4), opens).find(({ text }) => tables.has(text.toLowerCase()))
      return table === undefined ? [] : [`line ${token.line}: ${hint} on ${table.text}`]
    }),
  )
}
