import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { failureTables } from '../../src/failure/document.ts'

const DOCUMENT = new URL('../../../../docs/failures.md', import.meta.url)
const MARK = '<!-- From packages/sync/src/failure by `npm run generate`. Do not edit below this line. -->\n'

/** docs/failures.md as it is, and as the code's tables say. Above the mark it is written by hand. */
export async function failuresDocument(): Promise<{ is: string; should: string }> {
  const is = await readFile(DOCUMENT, 'utf8')
  const [prose = ''] = is.split(MARK)
  return { is, should: `${prose}${MARK}\n${failureTables()}` }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await writeFile(DOCUMENT, (await failuresDocument()).should)
  console.log('docs/failures.md')
}
