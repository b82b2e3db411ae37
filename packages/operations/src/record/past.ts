import type { LoggedRuling } from '@clinic-sync/sync'
import type { JudgedLetter } from '../dead-letters/letter.ts'
import type { RecordFacts } from './gather.ts'
import { ago, listed, sentence } from './words.ts'

/** Rulings that are told in words, of each side. */
const TOLD = 5

/** The dead letters about the record. */
export function lettersSaid({ letters }: RecordFacts): string[] {
  if (!letters.reachable) return [`They cannot be looked at: ${sentence(letters.reason)}`]
  return letters.letters.map(letterSaid)
}

function letterSaid({ letter, direction, standing, supersededBy }: JudgedLetter): string {
  const { id, about, errorCode, errorMessage, failedAt, attempts } = letter
  const why = errorMessage.includes(errorCode) ? errorMessage : [errorCode, errorMessage].filter(Boolean).join(': ')
  const state = {
    standing: 'its change has not arrived',
    superseded: `superseded: version ${supersededBy ?? '?'} has arrived since`,
    settled: 'its change has arrived since',
    discarded: 'discarded, and still there',
    unclear: 'which change it is, its headers do not say',
  }[standing]
  return sentence(
    `${id}, ${direction ?? 'of unknown direction'}, version ${about?.version ?? 'unknown'}, ${state}; failed${failedAt === null ? '' : ` at ${failedAt}`}${attempts > 1 ? ` after ${attempts} attempts` : ''}: ${why}`,
  )
}

/** What of the record could not stand, on either side. */
export function rulingsSaid({ clinic, portal, at }: RecordFacts): string[] {
  return [clinic, portal].flatMap((side) => {
    if (!side.reachable) return []
    const told = grouped(side.history.rulings)
    const more = told.length - TOLD
    return [
      ...told.slice(0, TOLD).map((lines) => rulingSaid(lines, at)),
      ...(more > 0 ? [`${more} older ${more === 1 ? 'one is' : 'ones are'} not listed.`] : []),
    ]
  })
}

/** A ruling on several columns has a line for each of them. */
function grouped(rulings: readonly LoggedRuling[]): LoggedRuling[][] {
  const groups = new Map<string, LoggedRuling[]>()
  for (const each of rulings) {
    const name = `${each.version} ${each.ruling}`
    groups.set(name, [...(groups.get(name) ?? []), each])
  }
  return [...groups.values()]
}

const WORDS: Readonly<Record<string, string>> = {
  'clinic-wins': "the clinic's value stands, the doctor's does not",
  'portal-wins': "the doctor's value stands, the clinic's does not",
  deleted: "the clinic had deleted the record, and the doctor's edit went with it",
}

/** The lines of one ruling. */
function rulingSaid(lines: readonly LoggedRuling[], at: string): string {
  const [first] = lines
  if (first === undefined) return ''
  const columns = lines.flatMap((line) => line.columns ?? [])
  const of = columns.length === 0 ? 'the whole row' : listed(columns.toSorted())
  return sentence(
    `${ago(first.at, at)}, on ${of}: ${WORDS[first.ruling] ?? first.ruling} (${listed(lines.map(({ id }) => id))})`,
  )
}
