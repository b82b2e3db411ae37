import { type Fault, lineOf, nodesOf, type Page } from '../pages.ts'
import { type Marker, parseMarker } from './marker.ts'

/** A block of a page that says how it is run. */
export interface Block {
  readonly path: string
  /** Of its first line of code. */
  readonly line: number
  readonly language: 'bash' | 'sql'
  readonly code: string
  readonly marker: Marker
}

/** The same things by other names: nobody would notice that they are not run. */
const OTHER_NAMES: ReadonlyMap<string, string> = new Map([
  ...['sh', 'shell', 'zsh', 'console', 'shell-session', 'terminal'].map((name) => [name, 'bash'] as const),
  ...['tsql', 't-sql', 'mssql', 'pgsql', 'plpgsql', 'postgresql', 'postgres'].map((name) => [name, 'sql'] as const),
])

/** The blocks of a page that are commands, and what is wrong with how they are marked. */
export function blocksOf(page: Page): { blocks: Block[]; faults: Fault[] } {
  const blocks: Block[] = []
  const faults: Fault[] = []
  const marked = new Set<unknown>()
  for (const { node, before } of nodesOf(page.tree)) {
    if (node.type !== 'code') continue
    const language = node.lang?.toLowerCase() ?? ''
    const line = lineOf(node)
    const fault = (message: string) => void faults.push({ path: page.path, line, message })
    if (OTHER_NAMES.has(language)) fault(`write this block's language as ${OTHER_NAMES.get(language)}`)
    if (language !== 'bash' && language !== 'sql') continue
    const comment = before?.type === 'html' ? before : undefined
    marked.add(comment)
    try {
      const marker = comment === undefined ? null : parseMarker(comment.value)
      if (marker === null)
        fault('the line above this block does not say how it is run: <!-- run: … -->, <!-- not run: why -->')
      else if (comment?.position?.end.line !== line - 1) fault('what says how it is run stands right above the block')
      else if (marker.how !== 'not' && isSql(marker.how) !== (language === 'sql'))
        fault(`a block in ${language} is not run as ${marker.how}`)
      else blocks.push({ path: page.path, line: line + 1, language, code: node.value, marker })
    } catch (error) {
      fault(error instanceof Error ? error.message : 'no marker')
    }
  }
  for (const { node } of nodesOf(page.tree))
    if (node.type === 'html' && !marked.has(node) && /^<!--\s*(not )?run:/.test(node.value))
      faults.push({ path: page.path, line: lineOf(node), message: 'no block in bash or sql stands below this line' })
  return { blocks, faults }
}

const isSql = (how: string) => how === 'clinic' || how === 'portal'
