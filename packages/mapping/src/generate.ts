import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { portalFiles } from './postgres/index.ts'
import { clinicFiles } from './tsql/index.ts'

const root = new URL('../../../', import.meta.url)

for (const file of [...clinicFiles(), ...portalFiles()]) {
  await writeFile(fileURLToPath(new URL(file.path, root)), file.content)
  console.log(file.path)
}
