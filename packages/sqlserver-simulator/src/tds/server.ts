import type { AddressInfo, Socket } from 'node:net'
import net from 'node:net'
import type { Database } from '../engine/database.ts'
import { OPERATOR, SERVICE_LOGIN } from '../engine/permissions.ts'
import type { Session } from '../engine/session.ts'
import type { Migrations } from '../schema/migrations.ts'
import type { Statement } from '../sql/ast.ts'
import { parseBatch } from '../sql/parse-batch.ts'
import { SqlError } from '../values/errors.ts'
import { Connection } from './connection.ts'
import { withoutValues } from './trace.ts'

/** Characters of all parsed texts that are kept, and of one: longer ones are scripts, which come once. */
const CACHED = 1_000_000
const LONGEST_CACHED = 100_000
const REMEMBERED = 50

/** A batch's statements, or why it has none. */
interface Parsed {
  readonly statements: readonly Statement[] | SqlError
  readonly isMigration: boolean
}

export interface ServerOptions {
  readonly db: Database
  readonly migrations: Migrations
  readonly password: string
  readonly log: (line: string) => void
}

/** Listens, keeps count, and holds what the connections share. */
export class Server {
  readonly db: Database
  readonly password: string
  readonly log: (line: string) => void
  readonly #migrations: Migrations
  readonly #server = net.createServer((socket) => this.#accept(socket))
  readonly #connections = new Set<Connection>()
  readonly #parsed = new Map<string, Parsed>()
  #cached = 0
  readonly #statements: { readonly connection: number; readonly text: string }[] = []
  #queries = 0
  #failure: { readonly error: SqlError; readonly of: ReadonlySet<string> | null } | null = null
  #gate: Promise<void> | null = null
  #open: (() => void) | null = null

  constructor({ db, migrations, password, log }: ServerOptions) {
    this.db = db
    this.password = password
    this.log = log
    this.#migrations = migrations
    db.dropOthers = (session) => {
      for (const connection of this.#connections) if (connection.id !== session.id) connection.drop()
    }
  }

  async listen(port: number, host: string): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(port, host, resolve)
    })
    return (this.#server.address() as AddressInfo).port
  }
  async stop(): Promise<void> {
    this.resume()
    const closed = new Promise((resolve) => this.#server.close(resolve))
    this.dropConnections()
    await closed
  }
  dropConnections(): void {
    for (const connection of this.#connections) connection.drop()
  }

  pause(): void {
    this.#gate ??= new Promise((resolve) => {
      this.#open = resolve
    })
  }
  resume(): void {
    this.#open?.()
    this.#gate = null
    this.#open = null
  }
  /** Resolves once requests may run. */
  gate(): Promise<void> | null {
    return this.#gate
  }

  /** What requests of the services' login fail with: those for these procedures, or all. */
  failWith(error: SqlError | null, of: readonly string[] | null): void {
    this.#failure = error && { error, of: of && new Set(of.map((name) => name.toLowerCase())) }
  }
  /** @param procedure as it was called, in lower case; '' for a batch. @throws SqlError */
  failIfTold({ login }: Session, procedure: string): void {
    if (this.#failure === null || login !== SERVICE_LOGIN) return
    if (this.#failure.of?.has(procedure) ?? true) throw this.#failure.error
  }

  get queries(): number {
    return this.#queries
  }
  /** The latest texts, oldest first, without values. */
  get statements() {
    return this.#statements.map(({ connection, text }) => ({ connection, text: withoutValues(text) }))
  }
  count(connection: Connection, text: string): void {
    this.#queries++
    this.#statements.push({ connection: connection.id, text })
    if (this.#statements.length > REMEMBERED) this.#statements.shift()
  }
  gone(connection: Connection): void {
    this.#connections.delete(connection)
  }
  #accept(socket: Socket): void {
    this.#connections.add(new Connection(this, socket))
  }

  /** A batch's statements, or why it cannot be run; `migration`: one of the shipped migrations' batches. */
  parse(text: string, { login }: Session): readonly Statement[] | SqlError | 'migration' {
    const { statements, isMigration } = this.#parsedOf(text)
    if (!isMigration) return statements
    const runs = isFrame(statements)
    if (login === OPERATOR) {
      this.#migrations.accept(text)
      return runs ? statements : 'migration'
    }
    if (runs) return statements
    return new SqlError(262, `CREATE PROCEDURE permission denied in database '${this.db.name}'.`, {
      severity: 14,
      abort: 'batch',
    })
  }

  #parsedOf(text: string): Parsed {
    const known = this.#parsed.get(text)
    if (known !== undefined) return known
    let statements: readonly Statement[] | SqlError
    try {
      statements = parseBatch(text)
    } catch (error) {
      if (!(error instanceof SqlError)) throw error
      statements = error
    }
    const parsed = { statements, isMigration: this.#migrations.knows(text) }
    if (text.length < LONGEST_CACHED) this.#keep(text, parsed)
    return parsed
  }

  #keep(text: string, parsed: Parsed): void {
    this.#parsed.set(text, parsed)
    this.#cached += text.length
    for (const oldest of this.#parsed.keys()) {
      if (this.#cached <= CACHED) return
      this.#parsed.delete(oldest)
      this.#cached -= oldest.length
    }
  }
}

/** What scripts put around their work: transactions and SET options. It is done, also in a migration. */
function isFrame(statements: readonly Statement[] | SqlError): boolean {
  const framing = new Set<Statement['kind']>(['begin', 'commit', 'rollback', 'setOption'])
  const frames = (list: readonly Statement[]): boolean =>
    list.every((s) => framing.has(s.kind) || (s.kind === 'if' && frames(s.statements) && frames(s.otherwise)))
  return !(statements instanceof SqlError) && frames(statements)
}
