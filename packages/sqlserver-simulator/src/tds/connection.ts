import type { Socket } from 'node:net'
import { OPERATOR, SERVICE_LOGIN } from '../engine/permissions.ts'
import { Session } from '../engine/session.ts'
import type { SqlValue } from '../values/types.ts'
import { INT } from '../values/types.ts'
import { callProcedure, type Given } from '../run/call.ts'
import { execute } from '../run/execute.ts'
import { SqlError, unsupported } from '../values/errors.ts'
import { type Login, PRELOGIN_RESPONSE, readLogin } from './login.ts'
import {
  ATTENTION,
  BULK,
  LOGIN,
  type Message,
  MessageReader,
  PRELOGIN,
  RPC,
  SQL_BATCH,
  sendMessage,
  TRANSACTION,
} from './packets.ts'
import { Prepared } from './prepared.ts'
import { Reader } from './reader.ts'
import { Response } from './response.ts'
import { afterHeaders, type Rpc, readRpc } from './rpc.ts'
import type { Server } from './server.ts'
import { DONE, writeDone, writeInfo, writeLogin } from './tokens.ts'
import { Writer } from './writer.ts'

const CANCELLED = Symbol('cancelled by the client')
/** Errors after which SQL Server ends the connection have a severity of 20 or more. */
const fatal = (message: string) => new SqlError(4002, message, { severity: 20, abort: 'batch' })

/** One client's connection: reads its messages, runs one request at a time, answers. */
export class Connection {
  readonly #server: Server
  readonly #socket: Socket
  readonly #reader = new MessageReader()
  readonly #prepared = new Prepared()
  readonly #requests: Message[] = []
  #session: Session | null = null
  #packetSize = 4096
  #running: AbortController | null = null
  #attention = false
  #settingUp = true
  #descriptor = 0n

  constructor(server: Server, socket: Socket) {
    this.#server = server
    this.#socket = socket
    socket.setNoDelay(true)
    socket.on('data', (chunk) => this.#receive(chunk))
    socket.on('error', () => {})
    socket.on('close', () => this.#closed())
  }

  /** The session's number; 0 before login. */
  get id(): number {
    return this.#session?.id ?? 0
  }
  drop(): void {
    this.#socket.destroy()
  }

  #closed(): void {
    this.#requests.length = 0
    this.#running?.abort(CANCELLED)
    // What runs undoes its statement first; an open transaction goes with the connection.
    if (this.#running === null) this.#session?.rollback()
    this.#server.gone(this)
  }

  #receive(chunk: Buffer): void {
    try {
      for (const message of this.#reader.read(chunk)) {
        if (message.kind === ATTENTION) this.#cancel()
        else {
          this.#requests.push(message)
          if (this.#running === null) void this.#work()
        }
      }
    } catch {
      this.#socket.destroy()
    }
  }

  #cancel(): void {
    if (this.#running === null) {
      this.#acknowledge()
      return
    }
    this.#attention = true
    this.#running.abort(CANCELLED)
  }

  #acknowledge(): void {
    this.#attention = false
    const response = new Response()
    writeDone(response.w, DONE, { attention: true })
    this.#send(response)
  }

  async #work(): Promise<void> {
    for (;;) {
      const message = this.#requests.shift()
      if (message === undefined) return
      const running = new AbortController()
      this.#running = running
      try {
        await this.#server.gate()
        const response = new Response()
        if (message.ignored) response.endBatch()
        else await this.#handle(message, response, running.signal)
        this.#send(response)
        // The client reads on after the answer until it finds the acknowledgement, a message of its own.
        if (this.#attention) this.#acknowledge()
      } catch (error) {
        this.#server.log(
          `connection ${this.id}: ${error instanceof RangeError ? 'a malformed message' : String(error)}`,
        )
        this.#socket.destroy()
      } finally {
        this.#running = null
      }
      if (this.#socket.destroyed) {
        this.#session?.rollback()
        return
      }
    }
  }

  #send(response: Response): void {
    if (!this.#socket.destroyed) sendMessage(this.#socket, response.w.toBuffer(), this.#packetSize)
  }

  #say(text: string): void {
    const early = new Writer()
    writeInfo(early, text)
    if (!this.#socket.destroyed) sendMessage(this.#socket, early.toBuffer(), this.#packetSize, true)
  }

  async #handle(message: Message, response: Response, signal: AbortSignal): Promise<void> {
    if (message.kind === PRELOGIN) {
      response.w.bytes(PRELOGIN_RESPONSE)
      return
    }
    if (message.kind === LOGIN) return this.#login(readLogin(message.body), response)
    const session = this.#session
    if (session === null) throw new RangeError('a request before the login')
    session.say = (text) => this.#say(text)
    session.onTransaction = (change) =>
      response.transaction(change, change === 'begin' ? ++this.#descriptor : this.#descriptor)
    if (message.reset) {
      session.reset()
      response.reset()
    }
    try {
      if (message.kind === SQL_BATCH)
        await this.#batch(message.body.toString('utf16le', afterHeaders(message.body)), session, response, signal)
      else if (message.kind === RPC) await this.#call(readRpc(message.body), session, response, signal)
      else if (message.kind === TRANSACTION) this.#transact(message.body, session, response)
      else throw unsupported(message.kind === BULK ? 'bulk inserts' : `TDS messages of the type ${message.kind}`)
    } catch (error) {
      if (error === CANCELLED) {
        if (session.xactAbort) session.rollback()
        response.cancelled()
        return
      }
      if (!(error instanceof SqlError)) {
        this.#server.log(
          `session ${session.id}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
        )
        response.failed(
          new SqlError(50_500, 'the simulator failed internally; see its log', { severity: 20 }),
          message.kind === RPC,
        )
        return
      }
      response.failed(error, message.kind === RPC)
    }
  }

  #login(login: Login | null, response: Response): void {
    const { password, db } = this.#server
    const refused = (error: SqlError) => {
      response.failed(error, false)
      this.#socket.once('drain', () => this.#socket.end())
      setImmediate(() => this.#socket.end())
    }
    if (login === null) return refused(fatal('The login packet is malformed.'))
    const name = [OPERATOR, SERVICE_LOGIN].find((known) => known === login.user.toLowerCase())
    if (name === undefined || login.password !== (name === OPERATOR ? password : db.servicePassword))
      return refused(new SqlError(18_456, `Login failed for user '${login.user}'.`, { severity: 14 }))
    if (login.database !== '' && login.database.toLowerCase() !== db.name.toLowerCase())
      return refused(
        new SqlError(4060, `Cannot open database "${login.database}" requested by the login. The login failed.`, {
          severity: 11,
        }),
      )
    this.#session = new Session(db, name)
    writeLogin(response.w, db.name, login.packetSize)
    writeDone(response.w, DONE)
    this.#packetSize = login.packetSize
  }

  async #batch(text: string, session: Session, response: Response, signal: AbortSignal): Promise<void> {
    const statements = this.#server.parse(text, session)
    // The driver's own SETs come first, once, and are no query of anybody's.
    const own = this.#settingUp && statements instanceof Array && statements.every((s) => s.kind === 'setOption')
    this.#settingUp = false
    if (!own) {
      this.#server.count(this, text)
      this.#server.failIfTold(session, '')
    }
    if (statements === 'migration') {
      response.endBatch()
      return
    }
    if (statements instanceof SqlError) throw statements
    session.variables = new Map()
    session.scopeIdentity = own ? session.scopeIdentity : null
    await execute(statements, session, response.sink(session, false), signal)
    response.endBatch()
  }

  async #call(rpc: Rpc, session: Session, response: Response, signal: AbortSignal): Promise<void> {
    this.#settingUp = false
    const name = rpc.name.toLowerCase().replace(/^sys\./, '')
    const prepared = this.#prepared.resolve(name, rpc, response)
    this.#server.count(this, prepared === null || prepared === 'done' ? rpc.name : prepared.text)
    this.#server.failIfTold(session, name)
    if (prepared === 'done') {
      response.endProcedure([])
      return
    }
    if (prepared !== null) {
      const statements = this.#server.parse(prepared.text, session)
      if (statements instanceof SqlError) throw statements
      const kept = session.variables
      session.variables = new Map(
        prepared.parameters.map((p) => [`@${p.name}`.toLowerCase(), { type: p.type, value: p.value }]),
      )
      session.scopeIdentity = null
      if (statements !== 'migration') await execute(statements, session, response.sink(session, true), signal)
      const outputs = prepared.parameters
        .filter((p) => p.output)
        .map((p) => ({
          name: `@${p.name}`,
          ...(session.variables.get(`@${p.name}`.toLowerCase()) as { type: typeof p.type; value: SqlValue }),
        }))
      session.variables = kept
      response.endProcedure(outputs)
      return
    }
    if (rpc.parameters.some((p) => p.output)) throw unsupported('output parameters of procedures (its own have none)')
    const given = rpc.parameters.map((p): Given => ({
      name: p.name,
      value: p.byDefault ? undefined : p.value,
      type: p.type ?? INT,
    }))
    const parts = rpc.name.split('.').map((part) => part.replace(/^\[|\]$/g, ''))
    const sink = response.sink(session, true)
    for (const result of await callProcedure(
      { schema: parts.at(-2) ?? '', name: parts.at(-1) ?? '' },
      given,
      session,
      signal,
    ))
      sink.result(result)
    response.endProcedure([])
  }

  /** The driver's own begin, commit and rollback (MS-TDS 2.2.6.9). */
  #transact(body: Buffer, session: Session, response: Response): void {
    const r = new Reader(body, afterHeaders(body))
    const kind = r.u16()
    const levels = ['', 'READ UNCOMMITTED', 'READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE']
    if (kind === 5) {
      const level = r.u8()
      if (level === 5) throw unsupported('SNAPSHOT isolation')
      session.isolation = levels[level] || session.isolation
      session.begin()
    } else if (kind === 7) session.commit()
    else if (kind === 8) {
      const name = r.ucs2(r.u8() / 2).toLowerCase()
      session.rollbackTo(name === '' || !session.transaction?.savepoints.has(name) ? null : name)
    } else if (kind === 9) session.save(r.ucs2(r.u8() / 2).toLowerCase())
    else throw unsupported('distributed transactions')
    response.endBatch()
  }
}
