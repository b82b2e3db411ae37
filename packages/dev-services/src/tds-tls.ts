import { Duplex } from 'node:stream'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { TLSSocket } from 'node:tls'

const HEADER = 8
const [PRELOGIN, RESPONSE, END] = [0x12, 0x04, 0x01]
/** PRELOGIN's answer: version, encryption required, no MARS (MS-TDS 2.2.6.5). */
const ENCRYPTION_REQUIRED = Buffer.from([
  0, 0, 16, 0, 6, 1, 0, 22, 0, 1, 4, 0, 23, 0, 1, 0xff, 16, 0, 3, 0xe8, 0, 0, 3, 0,
])

/**
 * For tests: TDS with TLS before a server that has none, as SQL Server does it: the handshake travels inside PRELOGIN packets, and
 * from then on everything is encrypted (MS-TDS 3.2.5.1). It cannot be made without TLS: a client that does not encrypt is refused.
 *
 * @param target port of the server on this machine; it must say in its PRELOGIN that it does not encrypt.
 * @returns the port here, how many clients have got through the handshake, and its end.
 */
export async function tdsWithTls(
  target: number,
  identity: { readonly cert: string; readonly key: string },
): Promise<{ readonly port: number; encrypted(): number; close(): Promise<void> }> {
  const sockets = new Set<Socket>()
  let encrypted = 0
  const server = createServer((client) => {
    for (const socket of [client]) sockets.add(socket.once('close', () => sockets.delete(socket)).on('error', () => {}))
    const wrapped = new Handshake(client)
    wrapped.greeted = () => {
      const secure = new TLSSocket(wrapped, { isServer: true, ...identity })
      secure.on('error', () => client.destroy())
      secure.once('secure', () => {
        encrypted++
        // What TLS has still to say of its handshake travels as the handshake did.
        setImmediate(() => wrapped.unwrap())
        const behind = connect(target, '127.0.0.1')
        sockets.add(behind.once('close', () => sockets.delete(behind)).on('error', () => client.destroy()))
        behind.write(packet(PRELOGIN, ENCRYPTION_REQUIRED))
        behind.once('data', () => {
          secure.pipe(behind)
          behind.pipe(secure)
        })
        client.once('close', () => behind.destroy())
        behind.once('close', () => client.destroy())
      })
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    encrypted: () => encrypted,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve))
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

/** The bytes of TLS on one side, TDS packets on the other until `unwrap`. */
class Handshake extends Duplex {
  readonly #client: Socket
  #inbox = Buffer.alloc(0)
  #isWrapped = true
  /** The client's first message has been answered: what follows is the handshake. */
  greeted: () => void = () => undefined
  #isGreeted = false

  constructor(client: Socket) {
    super()
    this.#client = client
    client.on('data', (chunk) => this.#receive(chunk))
    client.once('close', () => this.destroy())
  }
  unwrap(): void {
    this.#isWrapped = false
  }
  #receive(chunk: Buffer): void {
    this.#inbox = Buffer.concat([this.#inbox, chunk])
    while (this.#inbox.length >= HEADER && this.#inbox[0] === PRELOGIN) {
      const length = this.#inbox.readUInt16BE(2)
      if (this.#inbox.length < length) return
      const body = this.#inbox.subarray(HEADER, length)
      this.#inbox = this.#inbox.subarray(length)
      if (this.#isGreeted) this.push(body)
      else {
        this.#isGreeted = true
        this.#client.write(packet(RESPONSE, ENCRYPTION_REQUIRED))
        this.greeted()
      }
    }
    // A TLS record begins with 0x14 to 0x17, and with no packet's kind that a client sends then.
    if (this.#inbox.length === 0 || this.#inbox[0] === PRELOGIN) return
    if (this.#isGreeted) this.push(this.#inbox)
    else this.#client.destroy()
    this.#inbox = Buffer.alloc(0)
  }
  override _read(): void {}
  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#client.write(this.#isWrapped ? packet(RESPONSE, chunk) : chunk, done)
  }
}

function packet(kind: number, body: Buffer): Buffer {
  const header = Buffer.alloc(HEADER)
  header[0] = kind
  header[1] = END
  header.writeUInt16BE(body.length + HEADER, 2)
  return Buffer.concat([header, body])
}
