import { open } from 'node:fs/promises'
import { ownLines } from '@clinic-sync/operations'
import type { Entry, Missing, Part } from './part.ts'

/** Of each file its end: some days of a busy clinic. */
const MAX_BYTES = 4_000_000

/** Logs that the operator has saved, of journalctl or `docker compose logs`: of them the lines that are our services' own. */
export const logFilesPart = (paths: readonly string[]): Part => ({
  what: 'the files of --logs',
  patienceMs: 20_000,
  async collect() {
    const entries: Entry[] = []
    const missing: Missing[] = []
    for (const [i, path] of paths.entries()) {
      const text = await endOf(path).catch((error: unknown) => error)
      if (typeof text !== 'string') {
        const code = text instanceof Error && 'code' in text ? ` (${String(text.code)})` : ''
        missing.push({ what: `file ${i + 1} of --logs`, why: `It cannot be read${code}.` })
        continue
      }
      const { lines, others } = ownLines(text)
      if (lines.length === 0)
        missing.push({
          what: `file ${i + 1} of --logs`,
          why: 'No line of it is one of our services’ (JSON with name, level, time and msg).',
        })
      else
        entries.push({
          path: `logs/given-${i + 1}.jsonl`,
          about: `lines of our services in file ${i + 1} of --logs; ${others.toLocaleString('en')} other lines were left out`,
          text: lines.map((line) => `${line}\n`).join(''),
        })
    }
    return { entries, missing }
  },
})

/** The last part of a file, from the first whole line. PowerShell's `>` writes UTF-16. */
async function endOf(path: string): Promise<string> {
  const file = await open(path, 'r')
  try {
    const { size } = await file.stat()
    const from = Math.max(0, size - MAX_BYTES) & ~1
    const start = Buffer.alloc(2)
    await file.read(start, 0, 2, 0)
    const bytes = Buffer.alloc(Math.min(size, size - from))
    await file.read(bytes, 0, bytes.length, from)
    const text = bytes.toString(start[0] === 0xff && start[1] === 0xfe ? 'utf16le' : 'utf8').replace(/^\uFEFF/, '')
    return from === 0 ? text : text.slice(text.indexOf('\n') + 1)
  } finally {
    await file.close()
  }
}
