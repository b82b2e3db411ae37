import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { asyncApi } from './asyncapi.ts'

const DOCUMENT = new URL('../../../../docs/asyncapi.json', import.meta.url)

/** docs/asyncapi.json as it is, and as the schemas and the topology say. */
export async function asyncApiDocument(): Promise<{ is: string; should: string }> {
  const is = await readFile(DOCUMENT, 'utf8').catch(() => '')
  return { is, should: `${JSON.stringify(asyncApi(), null, 2)}\n` }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await writeFile(DOCUMENT, (await asyncApiDocument()).should)
  console.log('docs/asyncapi.json')
}
