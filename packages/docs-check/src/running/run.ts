import type { Block } from '../blocks/blocks.ts'
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
  /** A Docker engine may be used. */
  readonly docker: boolean
}

/** Why a block is not run here; null: it is. */
export function leftOut({ marker }: Block, means: Means): string | null {
  if (marker.how === 'not') return marker.why
  if (marker.needsSqlServer && !means.sqlServer) return 'needs a SQL Server'
  if (marker.how === 'docker' && !means.docker) return 'needs a Docker engine (--docker)'
  return null
}

/** Runs a block on the stage, and says what came of it. */
export async function runBlock(block: Block, stage: Stage): Promise<Outcome> {
  const began = performance.now()
  const message = await tried(block, stage)
  const ms = Math.round(performance.now() - began)
  return message === null ? { block, result: 'passed', message: '', ms } : { block, result: 'failed', message, ms }
}

/** @returns null: it did what it says; else what it did. */
async function tried(block: Block, stage: Stage): Promise<string | null> {
  const { marker } = block
  if (marker.how === 'not') return null
  const folder = marker.how === 'docker' ? await stage.newClone() : await stage.newFolder()
  const undo: Made[] = []
  let code = block.code
  try {
    for (const { placeholder, by } of marker.replacements) {
      if (!code.includes(placeholder)) return `“${placeholder}” does not stand in the block`
      const made = 'text' in by ? by : await make(by.made, stage, folder)
      undo.unshift(made)
      code = code.replaceAll(placeholder, () => made.text)
    }
    const left = leftover(code, block.language)
    if (left !== null) return `the placeholder ${left} is left: say what stands for it`
    const { code: ended, output } = await run(block, code, stage, folder)
    if (ended !== marker.exit) return `${block.language === 'bash' ? `ended with ${ended}` : 'failed'}:\n${output}`
    const missing = marker.shows.find((text) => !output.includes(text))
    return missing === undefined ? null : `does not show “${missing}”:\n${output}`
  } catch (error) {
    return error instanceof Error ? error.message : 'failed'
  } finally {
    for (const each of undo) await each.undo?.()
  }
}

function run({ marker }: Block, code: string, stage: Stage, folder: string): Promise<Ran> {
  const { demo, environment } = stage
  if (marker.how === 'clinic') return runOnClinic(code, demo.clinic, marker.rolledBack)
  if (marker.how === 'portal') return runOnPortal(code, stage.portal, marker.rolledBack)
  if (marker.how === 'docker')
    return runShell(code, { folder, environment: { ...environment, PATH: process.env.PATH ?? '' } })
  const here = code.replaceAll(/http:\/\/(?:localhost|127\.0\.0\.1):3000\b/g, demo.services.ingressUrl)
  return runShell(here, { folder, environment })
}

/** What a reader has to fill in. `<name>` in a shell would be read from, and written to; in SQL it compares. */
export const leftover = (code: string, language: Block['language']): string | null =>
  (language === 'bash' ? /…|<[a-z][a-z -]*>/ : /…/).exec(code.replaceAll(/#.*$|--\s.*$/gm, ''))?.[0] ?? null
