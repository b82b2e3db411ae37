import { sourceOf, type Side } from '@clinic-sync/contracts'
import { explainFailure } from '@clinic-sync/sync'
import type { JudgedLetter } from './letter.ts'

/** A dead letter in words: a heading and its sentences each. Keys, names, numbers; no value. */
export interface Explanation {
  readonly heading: 'What' | 'Why' | 'When' | 'Outbox' | 'What to do'
  readonly sentences: readonly string[]
}

const SIDES: Readonly<Record<Side, string>> = { clinic: 'the clinic', portal: 'the portal' }
const otherSide = (side: Side): Side => (side === 'clinic' ? 'portal' : 'clinic')

/** What a letter's cause means, and what is done about it in general. */
export function explainCause({ letter, direction }: JudgedLetter): { words: string; advice: string } {
  const target = direction === null ? undefined : otherSide(sourceOf(direction))
  const { words, advice } = explainFailure(letter.errorCode, target)
  return { words, advice }
}

export function explain(judged: JudgedLetter): readonly Explanation[] {
  return [
    { heading: 'What', sentences: what(judged) },
    { heading: 'Why', sentences: why(judged) },
    { heading: 'When', sentences: when(judged) },
    { heading: 'Outbox', sentences: outbox(judged) },
    { heading: 'What to do', sentences: todo(judged) },
  ]
}

function what({ letter, direction }: JudgedLetter): string[] {
  const { about, bytes, queue, type } = letter
  const lies = `It lies in ${queue}, ${bytes} bytes.`
  if (type === 'sync.outcomes.v1') {
    return [
      'Outcomes of a batch, on their way back to the ingress: which outbox rows are done, and which failed.',
      lies,
    ]
  }
  const way =
    direction === null
      ? 'Its headers do not say which way it travelled.'
      : `It travelled from ${SIDES[sourceOf(direction)]} to ${SIDES[otherSide(sourceOf(direction))]}.`
  const change =
    about === null
      ? 'A message whose headers do not say which change it is.'
      : `${type === 'sync.row.deleted.v1' ? 'The removal' : 'The state'} of ${about.table}/${about.key} at version ${about.version}.`
  return [change, way, lies]
}

function why(judged: JudgedLetter): string[] {
  const { errorCode, errorMessage, errorType } = judged.letter
  const { words } = explainCause(judged)
  const message = errorMessage === '' ? errorCode : errorMessage
  return [
    `${sentence(message)}${message.includes(errorCode) ? '' : ` (${errorCode})`}`,
    ...(words === '' || message.includes(words) ? [] : [`${errorCode}: ${sentence(words)}`]),
    TYPES[errorType],
  ]
}

const TYPES: Readonly<Record<JudgedLetter['letter']['errorType'], string>> = {
  transient: 'Something passing stood in its way, in every one of its attempts.',
  parent: 'The record that it refers to was missing, in every one of its attempts.',
  permanent: 'It is refused as it is, however often it is tried.',
  down: 'The target could not be used.',
  'bad-message': 'It is no message of ours, or of another version of clinic-sync.',
  unexpected: 'It failed in a way that nobody foresaw.',
  'delivery-limit': 'RabbitMQ gave it up; no database refused it.',
}

function when({ letter }: JudgedLetter): string[] {
  const { firstFailedAt, failedAt, attempts, replays, consumer, sourceQueue } = letter
  const instants =
    failedAt === null
      ? 'It is not known when it failed.'
      : firstFailedAt === null || firstFailedAt === failedAt
        ? `It failed at ${failedAt}.`
        : `It failed first at ${firstFailedAt}, last at ${failedAt}.`
  const tried = attempts === 0 ? '' : `${counted(attempts, 'attempt')}${consumer === null ? '' : ` by ${consumer}`}.`
  return [
    instants,
    tried,
    replays === 0 ? '' : `It has been replayed ${counted(replays, 'time')} before.`,
    sourceQueue === null ? '' : `It came from ${sourceQueue}.`,
  ].filter(Boolean)
}

function outbox({ outbox: row, supersededBy, letter, direction }: JudgedLetter): string[] {
  const side = direction === null ? 'its source' : SIDES[sourceOf(direction)]
  const state =
    row === null
      ? `What the outbox of ${side} says of it is not known.`
      : row.status === null
        ? `The outbox of ${side} has no row with this version any more.`
        : `Its row in the outbox of ${side} is ${row.status}${row.reason === null ? '.' : `: ${sentence(row.reason)}`}`
  const newer =
    supersededBy === null
      ? row === null
        ? ''
        : 'No later version of the record has arrived since.'
      : supersededBy === letter.about?.version
        ? 'This very version has arrived since.'
        : `A later version of the record, ${supersededBy}, has arrived since.`
  return [state, newer].filter(Boolean)
}

function todo(judged: JudgedLetter): string[] {
  const { letter, standing } = judged
  const discard = `npm run sync -- dead-letters discard ${letter.id} --why "…"`
  switch (standing) {
    case 'superseded':
      return [`Nothing is missing: this one would change nothing any more. Remove it: ${discard}`]
    case 'settled':
      return [`Nothing is missing: its change has arrived. Remove it: ${discard}`]
    case 'discarded':
      return [`Somebody has discarded it, and the command was interrupted. Discard it once more: ${discard}`]
    default: {
      const { advice } = explainCause(judged)
      const replay = `npm run sync -- dead-letters replay ${letter.id}`
      return [
        advice,
        letter.errorType === 'bad-message'
          ? `If nobody needs it: ${discard}`
          : `To see whether it would go through now: npm run sync -- dead-letters show ${letter.id} --rehearse. Then: ${replay}`,
      ]
    }
  }
}

const sentence = (text: string): string => (/[.!?]$/.test(text) ? text : `${text}.`)
export const counted = (n: number, what: string): string => `${n.toLocaleString('en')} ${what}${n === 1 ? '' : 's'}`
