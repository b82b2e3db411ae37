import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { demoSecrets } from '../../src/container/demo-secrets.ts'

const FOLDER = fileURLToPath(new URL('../../../../deploy/demo/secrets/', import.meta.url))

/** The salts are new each time. */
const withoutHashes = (text: string) => text.replaceAll(/"password_hash": ?"[^"]+"/g, '"password_hash": ""').trim()
const parsed = (text: string): unknown => (text.startsWith('{') ? JSON.parse(text) : text)

t.test('the demo’s secrets in the repository are those that are made', async (t) => {
  const made = demoSecrets()
  const files = readdirSync(FOLDER).filter((name) => name !== 'ca')
  t.strictSame(files.sort(), Object.keys(made).sort())
  for (const [name, text] of Object.entries(made))
    t.strictSame(
      parsed(withoutHashes(readFileSync(join(FOLDER, name), 'utf8'))),
      parsed(withoutHashes(text)),
      `${name} (made by packages/demo/src/container/write-demo-secrets.ts)`,
    )
})
