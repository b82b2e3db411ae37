import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { spoken } from '@clinic-sync/runtime'

/** Beside `src` and `dist`: run from either, it is the same folder. */
export const PAGE_FOLDER = fileURLToPath(new URL('../page/', import.meta.url))

/** What of the folder is served; the rest is for the compiler. */
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
}

/** A file of the status page, in memory. */
export interface PageFile {
  readonly name: string
  readonly type: string
  readonly bytes: Buffer
  readonly zipped: Buffer
  /** By its content, so that a browser asks, and is told in one line that nothing has changed. */
  readonly etag: string
}

/**
 * Reads the status page once, the index first.
 *
 * @param command how the commands are started here: see `spoken`
 * @throws Error of the file system where the page is not beside the program
 */
export async function readPage(command: string | undefined, folder = PAGE_FOLDER): Promise<readonly PageFile[]> {
  const names = (await readdir(folder)).filter((name) => extname(name) in TYPES).sort()
  const files = await Promise.all(names.map((name) => readOne(folder, name, command)))
  return files.sort((a, b) => Number(b.name === 'index.html') - Number(a.name === 'index.html'))
}

async function readOne(folder: string, name: string, command: string | undefined): Promise<PageFile> {
  const bytes = Buffer.from(spoken(await readFile(join(folder, name), 'utf8'), command))
  const hash = createHash('sha256').update(bytes).digest('base64url').slice(0, 22)
  const type = TYPES[extname(name)] ?? ''
  return { name, type, bytes, zipped: await promisify(gzip)(bytes), etag: `"${hash}"` }
}
