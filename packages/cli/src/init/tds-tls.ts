import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'

const PRELOGIN = 0x12
const HEADER = 8
/** Well below the 4,096 bytes that a packet may have before the login. */
const MOST = 4_000

/**
 * Opens TLS as TDS does it (MS-TDS 2.2.6.5 and 3.2.5.1): a pre-login asks for encryption, then the handshake travels inside
 * pre-login packets.
 *
 * @returns a stream for the handshake; nothing else can be sent over it.
 * @throws Error where the server has no encryption, or none for this.
 */
export async function tdsTunnel(tcp: Socket): Promise<Duplex> {
  const packets = new Packets(tcp)
  tcp.write(framed(preLogin()))
  const answer = await packets.next()
  const encryption = optionOf(answer, 1)
  // 2: not supported. 0: off, which means that only the login is encrypted: TLS begins all the same.
  if (encryption === undefined || encryption === 2) throw new Error('no encryption')
  const tunnel = new Duplex({
    read() {},
    write(chunk: Buffer, _, done) {
      for (let at = 0; at < chunk.length; at += MOST) tcp.write(framed(chunk.subarray(at, at + MOST)))
      done()
    },
    destroy(error, done) {
      tcp.destroy()
      done(error)
    },
  })
  packets.onPacket = (data) => void tunnel.push(data)
  tcp.on('close', () => void tunnel.push(null))
  return tunnel
}

/** VERSION and ENCRYPTION = on. */
function preLogin(): Buffer {
  const options = Buffer.from([0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xff])
  return Buffer.concat([options, Buffer.from([9, 0, 0, 0, 0, 0]), Buffer.from([1])])
}

/** One byte of an option in the answer. */
function optionOf(data: Buffer, wanted: number): number | undefined {
  for (let at = 0; at + 5 <= data.length && data[at] !== 0xff; at += 5)
    if (data[at] === wanted) return data[data.readUInt16BE(at + 1)]
  return undefined
}

function framed(data: Buffer): Buffer {
  const header = Buffer.alloc(HEADER)
  header[0] = PRELOGIN
  header[1] = 1
  header.writeUInt16BE(HEADER + data.length, 2)
  return Buffer.concat([header, data])
}

/** Takes the packets apart; gives their contents. */
class Packets {
  #rest: Buffer = Buffer.alloc(0)
  #waiting: Buffer[] = []
  #take: ((data: Buffer) => void) | undefined

  constructor(tcp: Socket) {
    tcp.on('data', (chunk: Buffer) => {
      this.#rest = Buffer.concat([this.#rest, chunk])
      while (this.#rest.length >= HEADER) {
        const length = this.#rest.readUInt16BE(2)
        if (length < HEADER) return void tcp.destroy(new Error('not TDS'))
        if (this.#rest.length < length) return
        const data = this.#rest.subarray(HEADER, length)
        this.#rest = this.#rest.subarray(length)
        if (this.#take === undefined) this.#waiting.push(data)
        else this.#take(data)
      }
    })
    this.#closed = new Promise((_, reject) => {
      tcp.once('error', reject)
      tcp.once('close', () => reject(new Error('closed')))
    })
    this.#closed.catch(() => undefined)
  }
  readonly #closed: Promise<never>

  /** The next one's contents. */
  next(): Promise<Buffer> {
    const first = new Promise<Buffer>((resolve) => {
      this.#take = (data) => {
        this.#take = undefined
        resolve(data)
      }
    })
    return Promise.race([first, this.#closed])
  }

  /** Gets every packet from now on. */
  set onPacket(take: (data: Buffer) => void) {
    this.#take = take
    for (const data of this.#waiting.splice(0)) take(data)
  }
}
