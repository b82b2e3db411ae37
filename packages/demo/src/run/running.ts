import { readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Where `npm run demo -- sql …` finds the running demo. */
export interface Running {
  readonly clinic: string
  readonly portal: string
  /** For a clinic whose server cannot ring: the operator's doorbell. */
  readonly ingressUrl: string
  readonly operatorToken: string
}

const NAME = 'clinic-sync-demo.json'

/**
 * Notes where the demo runs; the returned function takes the note away. Readable by its owner only: URLs hold passwords.
 *
 * @param folder TMPDIR of who looks for it, where that is another.
 */
export async function noteRunning(running: Running, folder = tmpdir()): Promise<() => Promise<void>> {
  const file = join(folder, NAME)
  await rm(file, { force: true })
  await writeFile(file, JSON.stringify(running), { mode: 0o600, flag: 'wx' })
  return () => rm(file, { force: true })
}

/** The running demo, if there is one. */
export async function findRunning(): Promise<Running | undefined> {
  try {
    const note: unknown = JSON.parse(await readFile(join(tmpdir(), NAME), 'utf8'))
    if (typeof note !== 'object' || note === null) return undefined
    const { clinic, portal, ingressUrl, operatorToken } = note as Partial<Running>
    if (!clinic || !portal || !ingressUrl || !operatorToken) return undefined
    return { clinic, portal, ingressUrl, operatorToken }
  } catch {
    return undefined
  }
}
