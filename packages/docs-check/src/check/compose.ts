import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Fault, lineOf, nodesOf, type Page, ROOT } from '../pages.ts'

/** `docker compose [options] verb …`; the words behind the verb, up to what ends a command. */
const COMPOSE =
  /\bdocker[ -]compose((?: -f \S+| --(?:profile|file|project-name|env-file) \S+)*) ([a-z]+)((?: [^\s|;&)`#]+)*)/g
/** Verbs whose first word is a service, and those that take any number of services and nothing else. */
const ONE = new Set(['run', 'exec'])
const MANY = new Set(['up', 'logs', 'restart', 'stop', 'start', 'ps', 'pull', 'build', 'kill', 'rm', 'create', 'top'])
const OTHERS = new Set([
  'down',
  'config',
  'version',
  'cp',
  'images',
  'ls',
  'port',
  'pause',
  'unpause',
  'stats',
  'wait',
  'events',
])
/** Options that are followed by a value of their own. */
const WITH_VALUE = new Set([
  '--timeout',
  '-t',
  '--tail',
  '--since',
  '--until',
  '-u',
  '--user',
  '-e',
  '--env',
  '--scale',
  '--entrypoint',
  '-v',
  '--format',
  '-w',
  '--workdir',
  '--index',
  '--pull',
  '-n',
  '-p',
])

/** Services that pages name behind `docker compose`, files behind -f, profiles: all have to be there. */
export function checkCompose(pages: readonly Page[], root = ROOT): Fault[] {
  const files = ['docker-compose.yml', 'compose.cluster.yml'].filter((path) => existsSync(join(root, path)))
  const text = files.map((path) => readFileSync(join(root, path), 'utf8')).join('\n')
  const services = servicesIn(text)
  const profiles = new Set([...text.matchAll(/profiles: \[([^\]]+)\]/g)].flatMap(([, list = '']) => list.split(/,\s*/)))
  return pages.flatMap((page) => {
    const faults: Fault[] = []
    for (const { node } of nodesOf(page.tree)) {
      if (node.type !== 'code' && node.type !== 'inlineCode') continue
      for (const [, options = '', verb = '', rest = ''] of node.value.replaceAll('\\\n', ' ').matchAll(COMPOSE))
        for (const message of faultsOf(options, verb, rest, services, profiles, root))
          faults.push({ path: page.path, line: lineOf(node), message })
    }
    return faults
  })
}

function faultsOf(
  options: string,
  verb: string,
  rest: string,
  services: ReadonlySet<string>,
  profiles: ReadonlySet<string>,
  root: string,
): string[] {
  const faults: string[] = []
  for (const [, flag, value = ''] of options.matchAll(/ (-f|--file|--profile) (\S+)/g)) {
    if (flag === '--profile' ? profiles.has(value) : existsSync(join(root, value))) continue
    if (!/[…<]/.test(value))
      faults.push(flag === '--profile' ? `there is no profile ${value}` : `there is no file ${value}`)
  }
  if (!ONE.has(verb) && !MANY.has(verb) && !OTHERS.has(verb))
    return [...faults, `docker compose has no command ${verb}`]
  if (OTHERS.has(verb)) return faults
  const named = wordsOf(rest)
  const meant = ONE.has(verb) ? named.slice(0, 1) : named
  return [
    ...faults,
    ...meant.filter((name) => !services.has(name)).map((name) => `the compose files have no service ${name}`),
  ]
}

/** What is neither an option, nor its value, nor a placeholder. */
function wordsOf(rest: string): string[] {
  const words = rest.trim().split(/\s+/)
  return words.filter((word, n) => /^[a-z][\w-]*$/.test(word) && !WITH_VALUE.has(words[n - 1] ?? ''))
}

/** Names two blanks deep below `services:`. */
function servicesIn(text: string): Set<string> {
  const sections = [...text.matchAll(/^services:\n((?:(?: .*|#.*)?\n)*)/gm)].map(([, section = '']) => section)
  return new Set(sections.flatMap((section) => [...section.matchAll(/^ {2}([\w-]+):/gm)].map(([, name = '']) => name)))
}
