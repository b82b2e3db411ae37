import { readFileSync } from 'node:fs'

/** What is wrong with a file that is not text as we read it, for after its name. */
export const NOT_UTF8 = 'is not UTF-8: save it as that (PowerShell’s > writes UTF-16)'

/**
 * A file that people write: UTF-8, without the byte order mark that editors on Windows add. Read as UTF-8, a secret in UTF-16 would
 * pass for one, and never be right.
 *
 * @returns null: it is not UTF-8
 * @throws Error of the file system
 */
export function readTextFile(path: string): string | null {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(path))
    return text.includes('\0') ? null : text
  } catch (error) {
    if (error instanceof TypeError && 'code' in error && error.code === 'ERR_ENCODING_INVALID_ENCODED_DATA') return null
    throw error
  }
}
