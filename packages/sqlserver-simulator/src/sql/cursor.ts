import { SqlError, syntaxError, unsupported } from '../values/errors.ts'
import type { ObjectName } from './ast.ts'
import { type Token, tokenize } from './tokenizer.ts'

/** Words that cannot be a name without brackets. Only those that end or start something in the supported grammar. */
const RESERVED = new Set(
  `ADD ALL ALTER AND ANY AS ASC BACKUP BEGIN BETWEEN BREAK BULK BY CASCADE CASE CHECK CLOSE COALESCE COLLATE COLUMN COMMIT
  CONSTRAINT CONTAINS CONTINUE CONVERT CREATE CROSS CURRENT CURSOR DATABASE DBCC DEALLOCATE DECLARE DEFAULT DELETE DENY DESC
  DISTINCT DROP ELSE END ERRLVL ESCAPE EXCEPT EXEC EXECUTE EXISTS EXIT FETCH FOR FOREIGN FROM FULL FUNCTION GOTO GRANT
  GROUP HAVING IDENTITY_INSERT IF IN INDEX INNER INSERT INTERSECT INTO IS JOIN KEY KILL LEFT LIKE MERGE NOCHECK NOT NULL NULLIF OF OFF
  ON OPEN OPTION OR ORDER OUTER OVER PERCENT PIVOT PRIMARY PRINT PROC PROCEDURE RAISERROR READ RECONFIGURE REFERENCES
  REPLICATION RESTORE RESTRICT RETURN REVERT REVOKE RIGHT ROLLBACK ROWCOUNT RULE SAVE SCHEMA SELECT SET SETUSER SHUTDOWN SOME
  STATISTICS TABLE TABLESAMPLE TEXTSIZE THEN TO TOP TRAN TRANSACTION TRIGGER TRUNCATE TRY_CONVERT UNION UNIQUE UNPIVOT
  UPDATE UPDATETEXT USE USER VALUES VARYING VIEW WAITFOR WHEN WHERE WHILE WITH WITHIN WRITETEXT`.split(/\s+/),
)

/** Walks the tokens of a batch. */
export class Cursor {
  readonly source: string
  readonly #tokens: readonly Token[]
  #position = 0

  constructor(source: string) {
    this.source = source
    this.#tokens = tokenize(source)
  }

  get token(): Token {
    return this.#tokens[this.#position] as Token
  }
  peek(ahead: number): Token {
    return (this.#tokens[this.#position + ahead] ?? this.#tokens.at(-1)) as Token
  }
  get atEnd(): boolean {
    return this.token.kind === 'end'
  }
  next(): Token {
    const token = this.token
    if (token.kind !== 'end') this.#position++
    return token
  }
  /** The error for a token that fits nowhere. */
  unexpected(): SqlError {
    if (this.atEnd) return this.#at(syntaxError(this.peek(-1).text.slice(0, 40)))
    if (this.token.kind === 'word' && RESERVED.has(this.token.text.toUpperCase()))
      return this.#at(
        new SqlError(156, `Incorrect syntax near the keyword '${this.token.text}'.`, { severity: 15, abort: 'batch' }),
      )
    return this.#at(syntaxError(this.token.text.slice(0, 40)))
  }
  refuse(what: string): SqlError {
    return this.#at(unsupported(what))
  }
  #at(error: SqlError): SqlError {
    error.line = this.token.line
    return error
  }

  isWord(...words: readonly string[]): boolean {
    return this.token.kind === 'word' && words.includes(this.token.text.toUpperCase())
  }
  isSymbol(symbol: string): boolean {
    return this.token.kind === 'symbol' && this.token.text === symbol
  }
  takeWord(...words: readonly string[]): string | null {
    return this.isWord(...words) ? this.next().text.toUpperCase() : null
  }
  takeSymbol(symbol: string): boolean {
    if (!this.isSymbol(symbol)) return false
    this.next()
    return true
  }
  word(...words: readonly string[]): string {
    const found = this.takeWord(...words)
    if (found === null) throw this.unexpected()
    return found
  }
  symbol(symbol: string): void {
    if (!this.takeSymbol(symbol)) throw this.unexpected()
  }
  isVariable(): boolean {
    return this.token.kind === 'variable'
  }
  isName(ahead = 0): boolean {
    const token = this.peek(ahead)
    return token.kind === 'quoted' || (token.kind === 'word' && !RESERVED.has(token.text.toUpperCase()))
  }
  name(): string {
    if (!this.isName()) throw this.unexpected()
    return this.next().text
  }
  /** `[database.][schema.]name`, `database..name`. */
  objectName(): ObjectName {
    const parts = [this.name()]
    while (this.takeSymbol('.')) parts.push(this.isSymbol('.') ? '' : this.name())
    if (parts.length > 3) throw this.refuse('names of four parts')
    return { schema: parts.at(-2) ?? '', name: parts.at(-1) as string }
  }
}
