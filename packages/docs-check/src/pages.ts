import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Nodes, Root } from 'mdast'
import { fromMarkdown } from 'mdast-util-from-markdown'

/** The project's folder. */
export const ROOT = fileURLToPath(new URL('../../../', import.meta.url))

/** A page of Markdown, read and parsed. */
export interface Page {
  /** From the project's folder, with slashes. */
  readonly path: string
  readonly text: string
  readonly tree: Root
}

/** Something that is wrong with a page, and where. */
export interface Fault {
  readonly path: string
  /** From 1. */
  readonly line: number
  readonly message: string
}

/** Folders that hold nothing of ours, or nothing that is kept. */
const PASSED_OVER = new Set(['node_modules', 'dist', '.git', '.tap', 'secrets'])

/** Every file of the project below `folder`, from the project's folder, that ends so. What a test leaves for a moment is passed over. */
export function filesUnder(folder: string, ending: RegExp, root: string = ROOT): string[] {
  const found: string[] = []
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    if (PASSED_OVER.has(entry.name)) continue
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`
    if (entry.isDirectory()) found.push(...filesUnder(path, ending, root))
    else if (ending.test(entry.name)) found.push(path)
  }
  return found.toSorted()
}

/** All pages, those that a newcomer reads first in front. */
export function readPages(root: string = ROOT): Page[] {
  const first = ['README.md', 'docs/WEBHOOK_SYNC_SYSTEM.md', 'docs/operations.md']
  const all = filesUnder('', /\.md$/, root)
  return [...first.filter((path) => all.includes(path)), ...all.filter((path) => !first.includes(path))].map((path) =>
    pageOf(path, readFileSync(join(root, path), 'utf8')),
  )
}

export const pageOf = (path: string, text: string): Page => ({ path, text, tree: fromMarkdown(text) })

/** Each node of a page, the ones within after the one around them; with the node that stands before it. */
export function* nodesOf(node: Nodes, before?: Nodes): Generator<{ node: Nodes; before: Nodes | undefined }> {
  yield { node, before }
  if (!('children' in node)) return
  let last: Nodes | undefined
  for (const child of node.children) {
    yield* nodesOf(child, last)
    last = child
  }
}

/** The words of a node, without what marks them. */
export function wordsOf(node: Nodes): string {
  if ('value' in node) return node.type === 'html' ? '' : node.value
  if ('alt' in node) return node.alt ?? ''
  return 'children' in node ? node.children.map(wordsOf).join('') : ''
}

export const lineOf = (node: Nodes): number => node.position?.start.line ?? 1

/** What a path in a page means, from the project's folder. */
export const fromPage = ({ path }: Page, target: string): string =>
  relative(ROOT, join(ROOT, dirname(path), target)).replaceAll('\\', '/')
