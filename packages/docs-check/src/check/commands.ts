import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Argument, Command, Option } from 'commander'
import { type Fault, filesUnder, lineOf, nodesOf, type Page, ROOT } from '../pages.ts'

/** What a command may be called with. */
export interface Known {
  /** `npm run` knows these. */
  readonly scripts: ReadonlySet<string>
  /** `npm run sync --`: commander's own tree. */
  readonly program: Command
  /** Options of other commands of ours, as their own sources name them. */
  readonly options: ReadonlySet<string>
}

/** Options of others, where a page names one alone: npm's, Docker's, Node's, RabbitMQ's, git's. */
const OTHERS = new Set([
  '--',
  '--profile',
  '--env-file',
  '--omit',
  '--build',
  '--follow',
  '--max-old-space-size',
  '--max-semi-space-size',
])

/** `npm run sync -- …`, and what is the same in a container; up to what ends a command in a shell, or in a sentence. */
const SYNC =
  /(?:npm run (?:--silent |-s )?sync|(?:docker compose|docker-compose)(?: -f \S+)* run --rm(?: -T)? sync)\b(.*)/g
const SCRIPT = /\bnpm run (?:--silent |-s )?([\w:-]+)(.*)/g
const OF_THE_DEMO: ReadonlyMap<string, string> = new Map([
  ['demo', 'demo'],
  ['prove', 'prove'],
  ['chaos', 'chaos'],
  ['docs', 'docs-check'],
])

/** Commands and options that pages name and that are not there. */
export function checkCommands(pages: readonly Page[], known: Known): Fault[] {
  const names = new Set(known.program.commands.map((command) => command.name()))
  return pages.flatMap((page) => {
    const faults: Fault[] = []
    for (const { node } of nodesOf(page.tree)) {
      if (node.type !== 'code' && node.type !== 'inlineCode') continue
      const from = lineOf(node) + (node.type === 'code' && node.lang != null ? 1 : 0)
      node.value.split('\n').forEach((line, index) => {
        for (const message of [
          ...faultsIn(line, known),
          ...(node.type === 'inlineCode' ? alone(line, names, known) : []),
        ])
          faults.push({ path: page.path, line: from + index, message })
      })
    }
    return faults
  })
}

/** The same in what our own programs say, in the migrations' comments and in the example's. */
export function checkCommandsInSources(known: Known, root = ROOT): Fault[] {
  const files = [
    ...['packages', 'services']
      .flatMap((folder) => filesUnder(folder, /\.ts$/, root))
      .filter((path) => path.includes('/src/')),
    ...filesUnder('migrations', /\.sql$/, root),
    ...filesUnder('', /^(\.env\.example|Dockerfile|.*\.ya?ml|.*\.sh)$/, root),
  ]
  return files.flatMap((path) =>
    readFileSync(join(root, path), 'utf8')
      .split('\n')
      .flatMap((line, index) =>
        faultsIn(line, known, !/^\.github\/|\.sh$|Dockerfile/.test(path)).map((message) => ({
          path,
          line: index + 1,
          message,
        })),
      ),
  )
}

function faultsIn(line: string, known: Known, isSentence = false): string[] {
  const faults: string[] = []
  for (const [, script = '', rest = ''] of line.matchAll(SCRIPT)) {
    if (!known.scripts.has(script)) faults.push(`package.json has no script ${script}`)
    else if (script !== 'sync' && OF_THE_DEMO.has(script))
      for (const word of wordsOf(rest))
        if (isOption(word) && !known.options.has(word)) faults.push(`npm run ${script} has no option ${word}`)
  }
  for (const [whole = '', rest = ''] of line.matchAll(SYNC)) {
    const words = wordsOf(rest, isSentence)
    if (whole.startsWith('npm') && (words[0] === '--' || words[0] === "'--'")) words.shift()
    else if (whole.startsWith('npm') && words.length > 0 && !isSentence) {
      faults.push('npm keeps options for itself without --: npm run sync -- …')
      continue
    }
    faults.push(...faultsOfCall(words, known.program, isSentence))
  }
  return faults
}

/** `dead-letters discard --superseded`, or `--rehearse`: commands named as one does in a sentence. */
function alone(text: string, names: ReadonlySet<string>, known: Known): string[] {
  const [first = '', second = ''] = text.split(' ')
  if (names.has(first) && /^(--|[a-z])/.test(second)) return faultsOfCall(wordsOf(` ${text}`), known.program)
  const option = /^(--[a-z][\w-]*)(?:[ =].*)?$/.exec(text)?.[1]
  if (option === undefined || known.options.has(option) || OTHERS.has(option)) return []
  return [`no command of ours has an option ${option}`]
}

/** What is wrong with `words` as what stands behind `npm run sync --`. */
export function faultsOfCall(words: readonly string[], program: Command, isSentence = false): string[] {
  let command = program
  const options = [...program.options]
  const values: string[] = []
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? ''
    if (isPlaceholder(word)) {
      if (command === program) return []
      continue
    }
    if (/^-[A-Za-z]$/.test(word) || isOption(word)) {
      if (word === '--help' || word === '-h') continue
      const [name] = word.split('=')
      const option = options.find(({ long, short }) => long === name || short === name)
      if (option === undefined) return [`${nameOf(command, program)} has no option ${name}`]
      if (takesValue(option) && !word.includes('=')) at++
      // `--table patients work`
      while (option.variadic && words[at + 1] !== undefined && !words[at + 1]?.startsWith('-')) at++
      continue
    }
    const inner = command.commands.find((each) => each.name() === word || each.aliases().includes(word))
    if (inner !== undefined) {
      command = inner
      options.push(...inner.options)
    } else if (command.commands.length > 0) {
      return word === 'help' ? [] : [`${nameOf(command, program)} has no command ${word}`]
    } else if (isSentence) {
      return []
    } else values.push(word)
  }
  return values.flatMap((value, n) => faultOfValue(value, command.registeredArguments[n], command, program))
}

function faultOfValue(value: string, argument: Argument | undefined, command: Command, program: Command): string[] {
  const last = command.registeredArguments.at(-1)
  const meant = argument ?? (last?.variadic ? last : undefined)
  if (meant === undefined) return [`${nameOf(command, program)} takes no ${value}`]
  return meant.argChoices === undefined || meant.argChoices.includes(value)
    ? []
    : [`${nameOf(command, program)} takes ${meant.argChoices.join(', ')}, not ${value}`]
}

const nameOf = (command: Command, program: Command): string =>
  command === program
    ? 'sync'
    : `${command.parent === program || !command.parent ? '' : `${command.parent.name()} `}${command.name()}`
const takesValue = ({ required, optional, variadic }: Option) => (required || optional) && !variadic
const isOption = (word: string) => /^--[a-z]/.test(word)
const isPlaceholder = (word: string) => /[…<>[\]{}$*]|^\.\.\.$/.test(word)

/** What ends a command in a shell: a pipe, a comment, a second command, two blanks. */
const IN_SHELL = /\s#|\s{2,}|[|;&)`]|\s>|\\$/
/** What ends it in a string of ours: its quote, the sentence's end. */
const IN_SENTENCE = /[`'’;|,\\)]|"(?= |$)|\.(?: |$)|\s#\s/

function wordsOf(rest: string, isSentence = false): string[] {
  // A synopsis: `[--table T [--key K]] [clinic|portal]`.
  const plain = rest.replaceAll(/\[?\b[\w-]+(?:\|[\w-]+)+\]?/g, '…').replaceAll(/\[(?=-)|(?<=\w)\]+/g, '')
  const [own = ''] = plain.split(isSentence ? IN_SENTENCE : IN_SHELL)
  return [...own.matchAll(/"[^"]*"|'[^']*'|[^\s"']+/g)].map(([word]) =>
    isSentence ? word.replace(/[.:!?]$/, '') : word,
  )
}

/** Every option that the sources of our own programs name. */
export function optionsInSources(root = ROOT): Set<string> {
  const found = new Set<string>()
  for (const folder of ['packages', 'services'])
    for (const path of filesUnder(folder, /\.ts$/, root))
      if (path.includes('/src/') && !path.startsWith('packages/docs-check/src/check/'))
        for (const [option] of readFileSync(join(root, path), 'utf8').matchAll(/--[a-z][a-z-]+/g)) found.add(option)
  return found
}
