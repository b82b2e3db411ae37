import { gzipSync } from 'node:zlib'

/** A file of an archive: its text is stored as UTF-8. */
export interface TarFile {
  /** Relative, of ASCII, at most 100 bytes. */
  readonly path: string
  readonly text: string
}

const BLOCK = 512

/**
 * A `.tar.gz` of plain files that their owner alone may read, in POSIX' ustar format (IEEE Std 1003.1, pax, "ustar Interchange Format"), as
 * tar, Windows' Explorer and every archiver open it. For some files of text: all of it is in the memory at a time.
 *
 * @throws RangeError where a path does not fit
 */
export function tarGz(files: readonly TarFile[], at = new Date()): Buffer {
  const blocks = files.flatMap(({ path, text }) => {
    const content = Buffer.from(text, 'utf8')
    return [header(path, content.length, at), content, Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK)]
  })
  return gzipSync(Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK)]))
}

function header(path: string, size: number, at: Date): Buffer {
  if (!/^[\x21-\x7e]{1,100}$/.test(path)) throw new RangeError('a path of the archive does not fit')
  const block = Buffer.alloc(BLOCK)
  const octal = (value: number, offset: number, digits: number) =>
    block.write(`${value.toString(8).padStart(digits, '0')}\0`, offset, 'latin1')
  block.write(path, 0, 'latin1')
  octal(0o600, 100, 7)
  octal(0, 108, 7)
  octal(0, 116, 7)
  octal(size, 124, 11)
  octal(Math.floor(at.getTime() / 1000), 136, 11)
  block.write('        0', 148, 'latin1')
  block.write('ustar\x0000', 257, 'latin1')
  // The sum of the block with blanks in place of the sum.
  block.write(
    `${block
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, '0')}\0 `,
    148,
    'latin1',
  )
  return block
}
