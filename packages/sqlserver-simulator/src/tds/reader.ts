/** Reads a message from front to end. @throws RangeError past its end */
export class Reader {
  readonly #buffer: Buffer
  #at = 0

  constructor(buffer: Buffer, start = 0) {
    this.#buffer = buffer
    this.#at = start
  }
  get atEnd(): boolean {
    return this.#at >= this.#buffer.length
  }
  #take(bytes: number): number {
    const at = this.#at
    if (at + bytes > this.#buffer.length) throw new RangeError('the message ends too early')
    this.#at += bytes
    return at
  }
  skip(bytes: number): void {
    this.#take(bytes)
  }
  u8(): number {
    return this.#buffer.readUInt8(this.#take(1))
  }
  peek(): number {
    return this.#buffer.readUInt8(this.#at)
  }
  u16(): number {
    return this.#buffer.readUInt16LE(this.#take(2))
  }
  i16(): number {
    return this.#buffer.readInt16LE(this.#take(2))
  }
  u32(): number {
    return this.#buffer.readUInt32LE(this.#take(4))
  }
  i32(): number {
    return this.#buffer.readInt32LE(this.#take(4))
  }
  u64(): bigint {
    return this.#buffer.readBigUInt64LE(this.#take(8))
  }
  i64(): bigint {
    return this.#buffer.readBigInt64LE(this.#take(8))
  }
  f32(): number {
    return this.#buffer.readFloatLE(this.#take(4))
  }
  f64(): number {
    return this.#buffer.readDoubleLE(this.#take(8))
  }
  uint(bytes: number): bigint {
    let value = 0n
    for (let i = 0; i < bytes; i++) value |= BigInt(this.u8()) << BigInt(8 * i)
    return value
  }
  bytes(length: number): Buffer {
    const at = this.#take(length)
    return this.#buffer.subarray(at, at + length)
  }
  ucs2(characters: number): string {
    return this.bytes(characters * 2).toString('utf16le')
  }
  bVarchar(): string {
    return this.ucs2(this.u8())
  }
}
