import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { transform } from 'esbuild'
import { filesUnder, ROOT } from '../pages.ts'

const GROUPS = ['packages', 'services']

/**
 * Compiles all packages into `folder`, laid out as in our image: 600 files in a second, types unchecked. A command then starts in
 * 0.9 s of processor time, from source through tsx in 2.2 s; the docs have dozens of them.
 */
export async function compile(folder: string): Promise<void> {
  const modules = join(folder, 'node_modules')
  await mkdir(join(modules, '@clinic-sync'), { recursive: true })
  for (const name of await readdir(join(ROOT, 'node_modules')))
    if (!name.startsWith('.') && name !== '@clinic-sync')
      await symlink(join(ROOT, 'node_modules', name), join(modules, name))
  await symlink(join(ROOT, 'migrations'), join(folder, 'migrations'))
  for (const group of GROUPS)
    for (const name of await readdir(join(ROOT, group))) {
      const manifest = await readFile(join(ROOT, group, name, 'package.json')).catch(() => null)
      if (manifest === null) continue
      await mkdir(join(folder, group, name), { recursive: true })
      await writeFile(join(folder, group, name, 'package.json'), manifest)
      await symlink(join(folder, group, name), join(modules, '@clinic-sync', name))
    }
  const sources = GROUPS.flatMap((group) => filesUnder(group, /\.ts$/)).filter((path) => path.includes('/src/'))
  await Promise.all(
    sources.map(async (path) => {
      const out = join(folder, path.replace('/src/', '/dist/').replace(/\.ts$/, '.js'))
      const source = await readFile(join(ROOT, path), 'utf8')
      const { code } = await transform(source, { loader: 'ts', format: 'esm', target: 'node20' })
      await mkdir(dirname(out), { recursive: true })
      // As tsc does with rewriteRelativeImportExtensions.
      await writeFile(out, code.replaceAll(/(['"])(\.\.?\/[^'"\n]*)\.ts\1/g, '$1$2.js$1'))
    }),
  )
}

/** A `package.json` whose scripts run what was compiled in place of the sources. */
export function compiledScripts(manifest: string, folder: string): string {
  return manifest.replaceAll(
    /node --import=tsx --conditions=@clinic-sync\/source (?:-- )?(packages\/(?:cli|demo))\/src\/main\.ts/g,
    (_, path: string) => `node ${join(folder, path, 'dist/main.js')}`,
  )
}
