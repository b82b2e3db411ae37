import { cpSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { collect } from './collect.ts'

// In the Dockerfile:  node packages/container/dist/collect-image.js <into> <workspace> …
const [into = '', ...workspaces] = process.argv.slice(2)
const paths = collect('.', workspaces, into)
cpSync('package.json', join(into, 'package.json'))
// Workspaces find each other through node_modules, as npm links them.
for (const path of paths.filter((path) => !path.includes('node_modules/'))) {
  const { name } = JSON.parse(readFileSync(join(path, 'package.json'), 'utf8')) as { name: string }
  const link = join(into, 'node_modules', name)
  mkdirSync(dirname(link), { recursive: true })
  symlinkSync(relative(dirname(link), join(into, path)), link)
}
process.stdout.write(`${paths.join('\n')}\n`)
