import type { Block } from '../blocks/blocks.ts'
import { ROOT } from '../pages.ts'
import { type Made, make } from './make.ts'
import { runOnClinic, runOnPortal } from './sql.ts'
import { type Ran, runShell } from './shell.ts'
import type { Stage } from './stage.ts'

export interface Outcome {
  readonly block: Block
  readonly result: 'passed' | 'failed' | 'left out'
  /** Why it failed, with its output; why it was left out. */
  readonly message: string
  readonly ms: number
}

/** What is there to run blocks with, besides the demo. */
export interface Means {
  /** SQL Server is a real one. */
  readonly sqlServer: boolean
  /** What needs a Docker engine is run, and nothing else. */
  readonly docker: boolean
}

/** Why a block is not run here; null: it is. */
export function leftOut({ marker }: Block, means: Means): string | null {
  if (marker.how === 'not') return marker.why
  if (marker.how === 'docker') return means.docker ? null : 'needs a Docker engine (--docker)'
  if (means.docker) return 'is run without --docker'
  return marker.needsSqlServer && !means.sqlServer ? 'needs a SQL Server' : null
}

/**
 * Runs a block, and says what came of it.
 *
 * @param stage null: for what is run as docker only, in the project's own folder, on what `docker compose` runs there.
 */
export async function runBlock(block: Block, stage: Stage | null): Promise<Outcome> {
  const began = performance.now()
  const undo: Made[] = []
  let message = await tried(block, stage, undo).catch(wordsOf)
  for (const each of undo.toReversed()) await each.undo?.().catch((error) => void (message ??= wordsOf(error)))
  const ms = Math.round(performance.now() - began)
  return message === null ? { block, result: 'passed', message: '', ms } : { block, result: 'failed', message, ms }
}

const wordsOf = (error: unknown) => (error instanceof Error ? error.message : 'failed')

/** @returns null: it did what it says; else what it did. @param undo gets all that was made for it */
async function tried(block: Block, stage: Stage | null, undo: Made[]): Promise<string | null> {
  const { marker } = block
  if (marker.how === 'not') return null
  const folder = stage === null ? ROOT : await stage.newFolder(marker.how !== 'plain')
  let code = block.code
  for (const { placeholder, by } of marker.replacements) {
    if (!code.includes(placeholder)) return `“${placeholder}” does not stand in the block`
    if (stage === null && 'made' in by) return `${by.made} is made on a demo only`
    const made = 'text' in by || stage === null ? (by as Made) : await make(by.made, stage, folder)
    undo.push(made)
    code = code.replaceAll(placeholder, () => made.text)
  }
  const left = leftover(code, block.language)
  if (left !== null) return `the placeholder ${left} is left: say what stands for it`
  const { code: ended, output } = await run(block, code, stage, folder)
  if (ended !== marker.exit) return `${block.language === 'bash' ? `ended with ${ended}` : 'failed'}:\n${output}`
  const missing = marker.shows.find((text) => !output.includes(text))
  return missing === undefined ? null : `does not show “${missing}”:\n${output}`
}

function run({ marker }: Block, code: string, stage: Stage | null, folder: string): Promise<Ran> {
  if (stage === null) return runShell(code, { folder, environment: process.env })
  const { demo, environment, plain } = stage
  if (marker.how === 'plain') return runShell(code, { folder, environment: plain })
  if (marker.how === 'clinic') return runOnClinic(code, demo.clinic, marker.rolledBack)
  if (marker.how === 'portal') return runOnPortal(code, stage.portal, marker.rolledBack)
  const here = code.replaceAll(/http:\/\/(?:localhost|127\.0\.0\.1):3000\b/g, demo.services.ingressUrl)
  return runShell(here, { folder, environment })
}

/** What a reader has to fill in. `<name>` in a shell would be read from, and written to; in SQL it compares. */
export const leftover = (code: string, language: Block['language']): string | null =>
  (language === 'bash' ? /…|<[a-z][a-z -]*>/ : /…/).exec(code.replaceAll(/#.*$|--\s.*$/gm, ''))?.[0] ?? null
