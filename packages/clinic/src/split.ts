/** One batch of a script: `sql` as written, the line of the script on which it begins (from 1), how often to run it. */
export interface Batch {
  readonly sql: string
  readonly line: number
  readonly repeat: number
}

/** The line may hold comments besides (https://learn.microsoft.com/sql/t-sql/language-elements/sql-server-utilities-statements-go). */
const GO = /^[ \t]*GO(?:[ \t]+(\d+))?[ \t]*;?[ \t]*(?:\/\*(?:(?!\/\*|\*\/).)*\*\/[ \t]*)*(?:--.*)?$/i

/**
 * Splits a T-SQL script at its GO lines, as sqlcmd and SSMS do: a GO inside a string, a quoted name or a comment is text.
 * Block comments nest, as in T-SQL. Batches without a statement, and those repeated 0 times, are left out. CRLF becomes LF;
 * a byte order mark at the beginning goes.
 */
export function splitBatches(script: string): Batch[] {
  const batches: Batch[] = []
  let lines: string[] = []
  let first = 1
  let open: Open = { inside: null, depth: 0 }
  let hasStatement = false
  const finish = (repeat: number, next: number) => {
    if (repeat > 0 && hasStatement) batches.push({ sql: lines.join('\n'), line: first, repeat })
    lines = []
    first = next
    hasStatement = false
  }
  const text = script.replace(/^\uFEFF/, '')
  text.split(/\r\n|\n|\r/).forEach((line, index) => {
    const go = open.inside === null ? GO.exec(line) : null
    if (go !== null) return finish(go[1] === undefined ? 1 : Number(go[1]), index + 2)
    lines.push(line)
    const scanned = scan(line, open)
    open = scanned
    hasStatement ||= scanned.code
  })
  finish(1, 0)
  return batches
}

/** What a line leaves open: a string ('), a quoted name (" or ]) or block comments (*), `depth` deep. */
interface Open {
  readonly inside: "'" | '"' | ']' | '*' | null
  readonly depth: number
}

/** What is open behind the line; `code`: it holds more than blanks and comments. */
function scan(line: string, { inside, depth }: Open): Open & { readonly code: boolean } {
  let code = inside !== null && inside !== '*'
  for (let i = 0; i < line.length; i++) {
    const two = line.slice(i, i + 2)
    if (inside === '*') {
      if (two !== '/*' && two !== '*/') continue
      depth += two === '/*' ? 1 : -1
      i++
      if (depth === 0) inside = null
    } else if (inside !== null) {
      if (line[i] !== inside) continue
      // Doubled, the closing character stands for itself.
      if (line[i + 1] === inside) i++
      else inside = null
    } else if (two === '--') break
    else if (two === '/*') {
      inside = '*'
      depth = 1
      i++
    } else {
      code ||= /\S/.test(line[i] ?? '')
      if (line[i] === "'" || line[i] === '"') inside = line[i] as "'" | '"'
      else if (line[i] === '[') inside = ']'
    }
  }
  return { inside, depth, code }
}
