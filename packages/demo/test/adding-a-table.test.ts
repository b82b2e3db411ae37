// docs/adding-a-table.md, done as it says in a copy of the project: on a portal that is installed already a change arrives.
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { migrate } from '@clinic-sync/cli'
import { testPostgres } from '@clinic-sync/dev-services/testing'
import t from 'tap'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const run = promisify(execFile)

/** What is in the copy beside the packages' sources. */
const COPIED = ['package.json', 'tsconfig.json', 'tsconfig.base.json', 'migrations', 'docs']

/** The project without what is installed or built; what is installed is linked, but for the project's own packages. */
async function copy(to: string): Promise<void> {
  for (const each of COPIED) await cp(join(ROOT, each), join(to, each), { recursive: true })
  const modules = join(to, 'node_modules')
  await mkdir(join(modules, '@clinic-sync'), { recursive: true })
  const installed = await readdir(join(ROOT, 'node_modules'))
  for (const name of installed.filter((each) => each !== '@clinic-sync'))
    await symlink(join(ROOT, 'node_modules', name), join(modules, name))
  for (const folder of ['packages', 'services'])
    for (const name of await readdir(join(ROOT, folder))) {
      const from = join(ROOT, folder, name)
      const unwanted = /^(dist|test|node_modules|\.tap)$/
      await cp(from, join(to, folder, name), {
        recursive: true,
        filter: (path) => path === from || !unwanted.test(basename(path)),
      })
      await symlink(join(to, folder, name), join(modules, '@clinic-sync', name))
    }
}

interface Edit {
  readonly path: string
  readonly before: string
  readonly after: string
}

/** The page's blocks: the first line is the file, lines with + are added, the others say where. */
function edits(page: string): Edit[] {
  return [...page.matchAll(/^ *```diff\n([\s\S]*?)^ *```$/gm)].map(([, block = '']) => {
    // In a list a block is indented, by as much as its first line.
    const indent = /^ */.exec(block)?.[0].length ?? 0
    const [path = '', ...lines] = block
      .split('\n')
      .slice(0, -1)
      .map((line) => line.slice(indent))
    const kept = lines.filter((line) => !line.startsWith('+'))
    const text = (some: string[]) => some.map((line) => `${line.slice(1)}\n`).join('')
    return { path, before: text(kept), after: text(lines) }
  })
}

t.test('what the page says is all there is to do', async (t) => {
  const postgres = await testPostgres(t)
  await migrate({ side: 'portal', url: postgres.url, withPortalTables: true })
  const folder = await mkdtemp(join(tmpdir(), 'clinic-sync-adding-'))
  t.teardown(() => rm(folder, { recursive: true }))
  await copy(folder)

  const page = edits(await readFile(join(ROOT, 'docs/adding-a-table.md'), 'utf8'))
  t.equal(page.length, 7)
  for (const { path, before, after } of page) {
    const file = join(folder, path)
    const isNew = before === ''
    const text = isNew ? '' : await readFile(file, 'utf8')
    if (!isNew) t.equal(text.split(before).length, 2, `${path} has the place once`)
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, isNew ? after : text.replace(before, () => after))
  }
  const node = (script: string, ...more: string[]) =>
    run(process.execPath, ['--import=tsx', '--conditions=@clinic-sync/source', script, ...more], { cwd: folder })

  const generated = (await node('packages/mapping/src/generate.ts')).stdout
  t.match(generated, /02_sync_capture\.sql/)
  const capture = await readFile(join(folder, 'migrations/sqlserver/02_sync_capture.sql'), 'utf8')
  t.match(capture, 'CREATE TRIGGER dbo.[trg_sync_tblAlignerActivityFlags]')

  const fixture = 'packages/demo/test/fixtures/adding-a-table.ts'
  await cp(join(ROOT, fixture), join(folder, fixture))
  const { stdout } = await node(fixture, postgres.url)
  t.same(JSON.parse(stdout), {
    patients: [{ person_id: 1, country_code: '964' }],
    flags: [{ activity_id: 1, aligner_set_id: 1, activity_type: 'DaysChanged', is_read: false }],
    afterDelete: [],
    differences: 0,
  })
})
