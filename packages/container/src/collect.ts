import { cpSync, existsSync, readFileSync, realpathSync } from 'node:fs'
import { basename, dirname, join, relative, sep } from 'node:path'

/** Only people, compilers and other run times read these. */
const UNREAD = /(\.(map|md|markdown|flow|[cm]?ts|tsbuildinfo)|^tsconfig\.json)$/i
/** Of Microsoft's libraries, which bring a copy of themselves for each run time: Node takes CommonJS, since tedious does. */
const OTHERS = [
  /\/node_modules\/@(azure|azure-rest|typespec)\/[^/]+\/(dist\/(browser|esm|react-native|workerd)|dist-browser)$/,
  /\/@azure\/msal-[a-z]+\/(dist|src|types)$/,
  /\/@azure\/msal-browser\/lib\/[^/]+\.js$/,
]
/** What packages bring beside their code. */
const BESIDE = new Set([
  'test',
  'tests',
  'benchmark',
  'benchmarks',
  'example',
  'examples',
  'docs',
  'coverage',
  '.github',
])

/**
 * The packages that some workspaces need when they run: what is reached from them by `dependencies`. npm has no word for this: in a
 * workspace it installs what the others' tests need as well.
 *
 * @param root the repository, with its node_modules
 * @param workspaces where to begin, relative to it: `services/ingress`
 * @returns their folders, relative to `root`, with `/`
 * @throws Error when a dependency is not there
 */
export function reached(root: string, workspaces: readonly string[]): readonly string[] {
  const top = realpathSync(root)
  const found = new Set<string>()
  const queue = workspaces.map((path) => join(top, path))
  for (let from = queue.pop(); from !== undefined; from = queue.pop()) {
    if (found.has(from)) continue
    found.add(from)
    for (const name of dependenciesOf(from)) queue.push(resolve(name, from, top))
  }
  return [...found].map((path) => relative(top, path).split(sep).join('/')).sort()
}

/** Copies what `reached` names to the same paths below `into`: of the workspaces what their `files` name, without what only people read. */
export function collect(root: string, workspaces: readonly string[], into: string): readonly string[] {
  const top = realpathSync(root)
  const paths = reached(root, workspaces)
  for (const path of paths) copy(join(top, path), join(into, path))
  return paths
}

interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>
  readonly files?: readonly string[]
}

const manifestOf = (folder: string) => JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest

const dependenciesOf = (folder: string): readonly string[] => Object.keys(manifestOf(folder).dependencies ?? {})

/** As Node looks for it: in the nearest node_modules upwards. */
function resolve(name: string, from: string, top: string): string {
  for (let folder = from; folder.startsWith(top); folder = dirname(folder)) {
    const candidate = join(folder, 'node_modules', name)
    if (existsSync(join(candidate, 'package.json'))) return realpathSync(candidate)
  }
  throw new Error(`${relative(top, from)} needs ${name}, which is not installed`)
}

function copy(from: string, to: string): void {
  const isWorkspace = !from.includes(`${sep}node_modules${sep}`)
  const { files = ['dist'] } = isWorkspace ? manifestOf(from) : {}
  const filter = (path: string) => {
    const inside = relative(from, path)
    const [first = ''] = inside.split(sep)
    // What a package brings itself is reached on its own, if it is needed.
    if (inside === 'node_modules' || UNREAD.test(basename(path))) return false
    if (isWorkspace) return inside === '' || inside === 'package.json' || files.includes(first)
    return !BESIDE.has(inside) && !OTHERS.some((pattern) => pattern.test(path.split(sep).join('/')))
  }
  cpSync(from, to, { recursive: true, filter })
}
