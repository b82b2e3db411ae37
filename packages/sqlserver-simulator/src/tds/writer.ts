/** A buffer that grows. */
export class Writer {
  #buffer = Buffer.allocUnsafe(1024)
  length = 0

  #room(bytes: number): number {
    const at = this.length
    this.length += bytes
    if (this.length > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.length, this.#buffer.length * 2))
      this.#buffer.copy(larger, 0, 0, at)
      this.#buffer = larger
    }
    return at
  }
  u8(n: number): this {
    const at = this.#room(1)
    this.#buffer[at] = n
    return this
  }
  u16(n: number): this {
    const at = this.#room(2)
    this.#buffer.writeUInt16LE(n, at)
    return this
  }
  u32(n: number): this {
    const at = this.#room(4)
    this.#buffer.writeUInt32LE(n, at)
    return this
  }
  i32(n: number): this {
    const at = this.#room(4)
    this.#buffer.writeInt32LE(n, at)
    return this
  }
  u64(n: bigint): this {
    const at = this.#room(8)
    this.#buffer.writeBigUInt64LE(n, at)
    return this
  }
  i64(n: bigint): this {
    const at = this.#room(8)
    this.#buffer.writeBigInt64LE(n, at)
    return this
  }
  f64(n: number): this {
    const at = this.#room(8)
    this.#buffer.writeDoubleLE(n, at)
    return this
  }
  /** `bytes` little-endian bytes of a non-negative number. */
  uint(n: bigint, bytes: number): this {
    for (let i = 0; i < bytes; i++) this.u8(Number((n >> BigInt(8 * i)) & 0xffn))
    return this
  }
  bytes(b: Uint8Array): this {
    const at = this.#room(b.length)
    this.#buffer.set(b, at)
    return this
  }
  ucs2(text: string): this {
    const at = this.#room(text.length * 2)
    this.#buffer.write(text, at, 'utf16le')
    return this
  }
  /** A text after its length in characters, in one byte. */
  bVarchar(text: string): this {
    const short = text.slice(0, 255)
    return this.u8(short.length).ucs2(short)
  }
  usVarchar(text: string): this {
    const short = text.slice(0, 65_535)
    return this.u16(short.length).ucs2(short)
  }
  toBuffer(): Buffer {
    return this.#buffer.subarray(0, this.length)
  }
}
