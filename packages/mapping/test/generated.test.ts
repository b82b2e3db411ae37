import { readFile } from 'node:fs/promises'
import t from 'tap'
import { portalFiles } from '../src/postgres/index.ts'
import { clinicFiles } from '../src/tsql/index.ts'

const root = new URL('../../../', import.meta.url)

t.test('the migrations in the repository are what the mapping generates', async (t) => {
  for (const file of [...clinicFiles(), ...portalFiles()]) {
    const onDisk = await readFile(new URL(file.path, root), 'utf8')
    t.equal(onDisk, file.content, `${file.path}: run npm run generate`)
  }
})
