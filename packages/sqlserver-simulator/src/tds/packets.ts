import type { Socket } from 'node:net'

const HEADER = 8
const [END, IGNORE, RESET] = [0x01, 0x02, 0x18]

export const SQL_BATCH = 0x01
export const RPC = 0x03
export const RESPONSE = 0x04
export const ATTENTION = 0x06
export const BULK = 0x07
export const TRANSACTION = 0x0e
export const LOGIN = 0x10
export const PRELOGIN = 0x12

export interface Message {
  readonly kind: number
  readonly body: Buffer
  /** The client asks for a fresh session first. */
  readonly reset: boolean
  /** Its sender took it back before its end: it is answered, not run. */
  readonly ignored: boolean
}

/** Puts packets together into messages (MS-TDS 2.2.3). */
export class MessageReader {
  #inbox: Buffer[] = []
  #size = 0
  #parts: Buffer[] = []
  #reset = false

  #peek(): Buffer {
    const first = this.#inbox[0] as Buffer
    if (first.length >= HEADER) return first
    this.#inbox = [Buffer.concat(this.#inbox)]
    return this.#inbox[0] as Buffer
  }
  #take(length: number): Buffer {
    let first = this.#inbox[0] as Buffer
    if (first.length < length) {
      first = Buffer.concat(this.#inbox)
      this.#inbox = [first]
    }
    const rest = first.subarray(length)
    if (rest.length > 0) this.#inbox[0] = rest
    else this.#inbox.shift()
    this.#size -= length
    return first.subarray(0, length)
  }

  /** @throws RangeError for a packet that cannot be one */
  *read(chunk: Buffer): Iterable<Message> {
    this.#inbox.push(chunk)
    this.#size += chunk.length
    while (this.#size >= HEADER) {
      const length = this.#peek().readUInt16BE(2)
      if (length < HEADER) throw new RangeError('not a TDS packet')
      if (this.#size < length) return
      const packet = this.#take(length)
      const status = packet[1] as number
      this.#parts.push(packet.subarray(HEADER))
      this.#reset ||= (status & RESET) !== 0
      if ((status & END) === 0) continue
      const message = {
        kind: packet[0] as number,
        body: Buffer.concat(this.#parts),
        reset: this.#reset,
        ignored: (status & IGNORE) !== 0,
      }
      this.#parts = []
      this.#reset = false
      yield message
    }
  }
}

/** Sends a response in packets of at most `size` bytes. `more`: the rest of it follows later. */
export function sendMessage(socket: Socket, body: Buffer, size: number, more = false): void {
  const room = size - HEADER
  const packets = Math.max(1, Math.ceil(body.length / room))
  // One write, whatever the number of packets: each would be a system call's vector of its own.
  const all = Buffer.allocUnsafe(body.length + packets * HEADER)
  for (let id = 0, from = 0, to = 0; id < packets; id++, from += room) {
    const length = Math.min(room, body.length - from)
    all[to] = RESPONSE
    all[to + 1] = id === packets - 1 && !more ? END : 0
    all.writeUInt16BE(length + HEADER, to + 2)
    all.writeUInt16BE(0, to + 4)
    all[to + 6] = (id + 1) & 255
    all[to + 7] = 0
    body.copy(all, to + HEADER, from, from + length)
    to += length + HEADER
  }
  socket.write(all)
}
