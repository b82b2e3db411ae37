import {
  counted,
  explainCause,
  type JudgedLetter,
  replay,
  type ReplayResult,
  type Stop,
  type Yard,
} from '@clinic-sync/operations'
import { explainFailure } from '@clinic-sync/sync'
import type { Progress } from './progress.ts'

/** Sends letters on their way again. @returns whether all that could be sent went through. */
export async function replayCommand(
  yard: Yard,
  letters: readonly JudgedLetter[],
  { say, progress, signal }: { say: (line: string) => void; progress: Progress; signal: AbortSignal },
): Promise<boolean> {
  const sender = await yard.sender()
  let result: ReplayResult
  try {
    result = await replay({ ...yard, sender }, letters, {
      signal,
      onProgress: (done, total) => progress.at(done, total),
    })
  } finally {
    progress.stop()
  }
  for (const line of resultLines(result, letters, signal.aborted)) say(line)
  return result.stopped === null && result.unfit.length === 0
}

function resultLines(
  { sent, outcomes, unfit, stopped, left }: ReplayResult,
  all: readonly JudgedLetter[],
  interrupted: boolean,
) {
  const became = Array.from(outcomes, ([outcome, n]) => `${n.toLocaleString('en')} ${outcome}`).join(', ')
  const lines = [`${counted(sent, 'dead letter')} replayed${became === '' ? '' : `: ${became}`}.`]
  if (unfit.length > 0) {
    const names = unfit.slice(0, 5).map(({ letter, reason }) => `${letter.id} (${reason})`)
    const more = unfit.length > 5 ? ` and ${unfit.length - 5} more` : ''
    lines.push(`Not replayed, since no consumer of this version could read them: ${names.join(', ')}${more}.`)
  }
  if (stopped !== null) lines.push(...stopLines(stopped, all))
  if (left > 0) {
    const why = stopped === null && interrupted ? 'Interrupted: ' : ''
    lines.push(
      `${why}${counted(left, 'letter')} ${left === 1 ? 'was' : 'were'} not sent, and ${left === 1 ? 'lies' : 'lie'} where before.`,
    )
  }
  return lines
}

const WHAT: Readonly<Record<Stop['what'], string>> = {
  dead: 'is dead again, and in the dead-letter queue',
  retry: 'failed again, and waits for a retry',
  unanswered: 'was sent, and no consumer has said what became of it: do the services run? (`npm run sync -- doctor`)',
  unsent: 'could not be sent, and lies where before',
}

function stopLines({ letter, what, code, reason }: Stop, all: readonly JudgedLetter[]): string[] {
  const record = letter.about === null ? letter.id : `${letter.about.table}/${letter.about.key} (${letter.id})`
  const why =
    what === 'unanswered' ? '' : `: ${reason.includes(code) ? reason : [code, reason].filter(Boolean).join(': ')}`
  const judged = all.find((each) => each.letter === letter)
  const advice =
    what === 'unanswered'
      ? []
      : [judged?.letter.errorCode === code ? explainCause(judged).advice : explainFailure(code).advice]
  return [`Stopped: ${record} ${WHAT[what]}${why.replace(/[.]?$/, '')}.`, ...advice]
}
