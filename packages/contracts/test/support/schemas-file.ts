import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import * as definitions from '../../src/definitions/index.ts'

const FOLDER = new URL('../../src/definitions/', import.meta.url)
const FILE = new URL('../../src/schemas.ts', import.meta.url)

/** The definitions' schemas by name: what is in another stands before it. */
export function schemas(): [name: string, schema: object][] {
  return Object.entries(definitions).toSorted(([, a], [, b]) => JSON.stringify(a).length - JSON.stringify(b).length)
}

/** Names of the definitions' types. */
function types(): Set<string> {
  const sources = readdirSync(FOLDER).map((name) => readFileSync(new URL(name, FOLDER), 'utf8'))
  return new Set(
    sources.flatMap((source) => [...source.matchAll(/^export type (\w+) =/gm)].map(([, name = '']) => name)),
  )
}

/** `src/schemas.ts`, before it is formatted. */
function text(): string {
  const typed = types()
  const written = new Map<string, string>()
  const lines = schemas().map(([name, schema]) => {
    const json = JSON.stringify(schema)
    const shared = (_: string, part: unknown) =>
      part !== schema && typeof part === 'object' && written.has(JSON.stringify(part))
        ? `@${written.get(JSON.stringify(part))}@`
        : part
    const literal = JSON.stringify(schema, shared).replaceAll(/"@(\w+)@"/g, '$1')
    written.set(json, name)
    const type = typed.has(name) ? `export type ${name} = defined.${name}\n` : ''
    return `export const ${name} = ${literal} as unknown as typeof defined.${name}\n${type}`
  })
  return `// Generated from src/definitions by \`npm run generate\`: plain JSON Schemas, so that no service has to load TypeBox.
import type * as defined from './definitions/index.ts'

${lines.join('\n')}`
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(FILE, text())
  console.log('packages/contracts/src/schemas.ts')
}
