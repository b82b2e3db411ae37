import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { demoSecrets } from './demo-secrets.ts'

// After a change of RabbitMQ's topology or rights:
//   node --import=tsx --conditions=@clinic-sync/source packages/demo/src/container/write-demo-secrets.ts
const folder = fileURLToPath(new URL('../../../../deploy/demo/secrets/', import.meta.url))
await mkdir(folder, { recursive: true })
for (const [name, text] of Object.entries(demoSecrets()))
  await writeFile(join(folder, name), text === '' ? '' : `${text}\n`)
