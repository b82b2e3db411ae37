import { counted, explain, type JudgedLetter, rehearseLetters, type Yard } from '@clinic-sync/operations'
import { passes, rehearsalLines, shortLine } from './difference.ts'
import type { Progress } from './progress.ts'

/** Letters that are explained one by one; of more, a line each says what a rehearsal found. */
const IN_WORDS = 5
/** Of many, those that would fail are named, up to so many. */
const NAMED = 50

export interface ShowOptions {
  readonly rehearse: boolean
  readonly values: boolean
  readonly say: (line: string) => void
  readonly progress: Progress
}

/** Explains letters, and tries them where that is asked for. */
export async function show(yard: Yard, letters: readonly JudgedLetter[], options: ShowOptions): Promise<void> {
  const { rehearse, say } = options
  if (letters.length > IN_WORDS && rehearse) return rehearseMany(yard, letters, options)
  for (const [index, judged] of letters.entries()) {
    if (index > 0) say('')
    say(`Dead letter ${judged.letter.id}`)
    for (const { heading, sentences } of explain(judged)) {
      for (const [at, sentence] of sentences.entries()) say(`  ${(at === 0 ? heading : '').padEnd(11)} ${sentence}`)
    }
    if (!rehearse) continue
    for await (const rehearsed of rehearseLetters(yard, [judged])) {
      for (const [at, line] of rehearsalLines(rehearsed, options.values).entries()) {
        say(`  ${(at === 0 ? 'Rehearsal' : '').padEnd(11)} ${line}`)
      }
      say(`  ${''.padEnd(11)} Nothing of it has stayed.`)
    }
  }
}

async function rehearseMany(yard: Yard, letters: readonly JudgedLetter[], { say, progress }: ShowOptions) {
  let done = 0
  let passing = 0
  const failing: string[] = []
  const causes = new Map<string, number>()
  try {
    for await (const rehearsed of rehearseLetters(yard, letters)) {
      progress.at(++done, letters.length)
      if (passes(rehearsed)) passing++
      else {
        if (failing.length < NAMED) failing.push(shortLine(rehearsed))
        const cause = causeOf(rehearsed)
        causes.set(cause, (causes.get(cause) ?? 0) + 1)
      }
    }
  } finally {
    progress.stop()
  }
  for (const line of failing) say(line)
  const rest = done - passing - failing.length
  if (rest > 0) say(`… and ${rest.toLocaleString('en')} more that would fail`)
  const why = Array.from(causes, ([cause, n]) => `${n.toLocaleString('en')} for ${cause}`).join(', ')
  const failed = done - passing
  say(
    `${counted(done, 'letter')} rehearsed, nothing of it has stayed: ${passing.toLocaleString('en')} would go through, ` +
      `${failed.toLocaleString('en')} would not${failed === 0 ? '' : ` (${why})`}.`,
  )
}

function causeOf({ rehearsal }: Parameters<typeof shortLine>[0]): string {
  if (rehearsal === null) return 'SYNC_BAD_MESSAGE'
  if ('outcome' in rehearsal) return rehearsal.outcome.code ?? rehearsal.outcome.outcome
  const { error } = rehearsal
  const { number, code } = error as { number?: unknown; code?: unknown }
  return typeof number === 'string' ? number : typeof code === 'string' ? code : error.name
}
