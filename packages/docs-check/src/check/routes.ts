import { type Fault, lineOf, nodesOf, type Page } from '../pages.ts'

/** A route that a page names, and how it is asked for where it says so. */
export interface Route {
  readonly method: 'GET' | 'POST' | undefined
  readonly path: string
  readonly at: Omit<Fault, 'message'>
}

const ROUTE =
  /(?:\b(GET|POST) )?(?:https?:\/\/[^/\s]+|(?<![\w./-]))(\/(?:api\/sync\/[\w./-]*\w|healthz|readyz|metrics))\b(?![\w/-]|\.md)/g

/** Every route that pages name in code, once each. */
export function routesIn(pages: readonly Page[]): Route[] {
  const found = new Map<string, Route>()
  for (const page of pages)
    for (const { node } of nodesOf(page.tree)) {
      if (node.type !== 'inlineCode' && node.type !== 'code') continue
      for (const [, said, path = ''] of node.value.matchAll(ROUTE)) {
        const method = said === 'GET' || said === 'POST' ? said : undefined
        const name = `${method} ${path}`
        if (!found.has(name)) found.set(name, { method, path, at: { path: page.path, line: lineOf(node) } })
      }
    }
  return [...found.values()]
}

/** Asks a running ingress for each of them; that it refuses for another reason than that there is none is enough. */
export async function checkRoutes(routes: readonly Route[], ingressUrl: string, token: string): Promise<Fault[]> {
  const faults: Fault[] = []
  for (const { method, path, at } of routes) {
    const answers = await Promise.all(
      (method ? [method] : ['GET', 'POST']).map((each) => ask(new URL(path, ingressUrl), each, token)),
    )
    if (answers.every((status) => status === 404 || status === 405))
      faults.push({ ...at, message: `the ingress has no route ${method ?? ''} ${path}`.replace('  ', ' ') })
  }
  return faults
}

async function ask(url: URL, method: string, token: string): Promise<number> {
  const gone = new AbortController()
  const answer = await fetch(url, { method, headers: { authorization: `Bearer ${token}` }, signal: gone.signal })
  // A stream would not end by itself.
  gone.abort()
  return answer.status
}
