import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { type Fault, fromPage, lineOf, nodesOf, type Page, ROOT, wordsOf } from '../pages.ts'

/**
 * Links of all pages: a file that is there, a heading that is there. Other sites are not asked; plain http is no address to send
 * anybody to.
 */
export function checkLinks(pages: readonly Page[], root = ROOT): Fault[] {
  const anchors = new Map(pages.map((page) => [page.path, anchorsOf(page)]))
  return pages.flatMap((page) => {
    const faults: Fault[] = []
    for (const { node } of nodesOf(page.tree)) {
      if (node.type === 'text') {
        const reference = /\[[^\]]+\]\[[^\]]*\]/.exec(node.value)?.[0]
        if (reference !== undefined)
          faults.push({ path: page.path, line: lineOf(node), message: `${reference} refers to nothing` })
      }
      if (node.type !== 'link' && node.type !== 'definition' && node.type !== 'image') continue
      const message = faultOf(node.url, page, anchors, root)
      if (message !== null) faults.push({ path: page.path, line: lineOf(node), message })
    }
    return faults
  })
}

function faultOf(
  url: string,
  page: Page,
  anchors: ReadonlyMap<string, ReadonlySet<string>>,
  root: string,
): string | null {
  if (/^(https:|mailto:)/.test(url)) return URL.canParse(url) ? null : `${url} is no address`
  if (/^[a-z]+:/.test(url)) return /^http:\/\/(localhost|127\.0\.0\.1)\b/.test(url) ? null : `${url}: use https`
  const [target = '', anchor] = url.split('#')
  const path = target === '' ? page.path : fromPage(page, decodeURIComponent(target))
  if (path.startsWith('..') || url.startsWith('/')) return `${url} leads out of the project`
  if (!existsSync(join(root, path)) && !anchors.has(path)) return `${url}: there is no ${path}`
  if (anchor === undefined) return null
  const known = anchors.get(path)
  if (known !== undefined) return known.has(decodeURIComponent(anchor)) ? null : `${url}: ${path} has no such heading`
  return /^L\d+(-L\d+)?$/.test(anchor) && statSync(join(root, path)).isFile() ? null : `${url}: ${path} has no headings`
}

/** The anchors that GitHub makes of a page's headings, and those set by hand. */
export function anchorsOf(page: Page): ReadonlySet<string> {
  const anchors = new Set<string>()
  for (const { node } of nodesOf(page.tree)) {
    if (node.type === 'html')
      for (const [, name] of node.value.matchAll(/\b(?:id|name)="([^"]+)"/g)) anchors.add(name ?? '')
    if (node.type !== 'heading') continue
    const slug = wordsOf(node)
      .trim()
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{M}\p{N}\p{Pc}\- ]/gu, '')
      .replaceAll(' ', '-')
    let unique = slug
    for (let n = 1; anchors.has(unique); n++) unique = `${slug}-${n}`
    anchors.add(unique)
  }
  return anchors
}

/** Pages below `docs` that no other page leads to: nobody would find them. */
export function checkOrphans(pages: readonly Page[]): Fault[] {
  const led = new Set<string>()
  for (const page of pages)
    for (const { node } of nodesOf(page.tree))
      if (node.type === 'link' || node.type === 'definition') {
        const path = fromPage(page, node.url.split('#')[0] ?? '')
        if (path !== page.path) led.add(path).add(`${path}/README.md`)
      }
  return pages
    .filter(({ path }) => path.startsWith('docs/') && !led.has(path))
    .map(({ path }) => ({ path, line: 1, message: 'no page leads here' }))
}
