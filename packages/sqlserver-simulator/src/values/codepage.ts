/** Windows-1256, the code page of Arabic_CI_AS: what varchar and literals without N can hold. */
const decoder = new TextDecoder('windows-1256')
const CHARACTERS = Array.from({ length: 256 }, (_, byte) =>
  byte < 128 ? String.fromCharCode(byte) : decoder.decode(Buffer.from([byte])),
)
const BYTES = new Map(CHARACTERS.map((character, byte) => [character, byte]))
const QUESTION = 0x3f

export const decodeCodePage = (bytes: Buffer): string => {
  let text = ''
  for (const byte of bytes) text += CHARACTERS[byte]
  return text
}

/** One byte a UTF-16 unit; what the page lacks becomes `?` (so an emoji becomes two). */
export function encodeCodePage(text: string): Buffer {
  const bytes = Buffer.alloc(text.length)
  for (let i = 0; i < text.length; i++) bytes[i] = BYTES.get(text.charAt(i)) ?? QUESTION
  return bytes
}

/** A plain ASCII text, whose every unit is its own byte. */
function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 127) return false
  return true
}

/** What remains of a text after a stay in a varchar. */
export const throughCodePage = (text: string): string => (isAscii(text) ? text : decodeCodePage(encodeCodePage(text)))
