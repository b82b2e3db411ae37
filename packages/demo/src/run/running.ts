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

const FILE = join(tmpdir(), 'clinic-sync-demo.json')

/** Notes where the demo runs; the returned function takes the note away. Readable by its owner only: URLs hold passwords. */
export async function noteRunning(running: Running): Promise<() => Promise<void>> {
  await rm(FILE, { force: true })
  await writeFile(FILE, JSON.stringify(running), { mode: 0o600, flag: 'wx' })
  return () => rm(FILE, { force: true })
}

/** The running demo, if there is one. */
export async function findRunning(): Promise<Running | undefined> {
  try {
    const note: unknown = JSON.parse(await readFile(FILE, 'utf8'))
    if (typeof note !== 'object' || note === null) return undefined
    const { clinic, portal, ingressUrl, operatorToken } = note as Partial<Running>
    if (!clinic || !portal || !ingressUrl || !operatorToken) return undefined
    return { clinic, portal, ingressUrl, operatorToken }
  } catch {
    return undefined
  }
}
