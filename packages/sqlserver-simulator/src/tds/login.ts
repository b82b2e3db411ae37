/** PRELOGIN's answer: version, encryption not supported, no MARS (MS-TDS 2.2.6.5). */
export const PRELOGIN_RESPONSE = Buffer.from([
  0, 0, 16, 0, 6, 1, 0, 22, 0, 1, 4, 0, 23, 0, 1, 0xff, 16, 0, 3, 0xe8, 0, 0, 2, 0,
])

export interface Login {
  readonly user: string
  readonly password: string
  readonly database: string
  readonly packetSize: number
}

/** Reads LOGIN7 (MS-TDS 2.2.6.4). Null: no such message. */
export function readLogin(body: Buffer): Login | null {
  if (body.length < 94) return null
  const text = (at: number) => {
    const [offset, length] = [body.readUInt16LE(at), body.readUInt16LE(at + 2)]
    return body.subarray(offset, offset + length * 2)
  }
  const password = Buffer.from(text(44).map((byte) => (((byte ^ 0xa5) << 4) | ((byte ^ 0xa5) >> 4)) & 0xff))
  const packetSize = body.readUInt32LE(8)
  return {
    user: text(40).toString('utf16le'),
    password: password.toString('utf16le'),
    database: text(68).toString('utf16le'),
    packetSize: packetSize >= 512 && packetSize <= 32_767 ? packetSize : 4096,
  }
}
