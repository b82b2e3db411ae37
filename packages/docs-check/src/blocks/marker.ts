/** How a block is run, as the comment above it says. See the README. */
export type Marker =
  | { readonly how: 'not'; readonly why: string }
  | {
      readonly how: Kind
      readonly exit: number
      readonly shows: readonly string[]
      readonly rolledBack: boolean
      readonly needsSqlServer: boolean
      readonly replacements: readonly Replacement[]
    }

/** A placeholder of a block, and what comes in its place: this text, or something that is made for the block. */
export interface Replacement {
  readonly placeholder: string
  readonly by: { readonly text: string } | { readonly made: Makeable }
}

export const KINDS = ['demo', 'clinic', 'portal', 'plain', 'docker'] as const
export type Kind = (typeof KINDS)[number]

export const MAKEABLE = [
  'a dead letter',
  'a cause that has passed',
  'a patient',
  'a batch',
  'a note',
  'the operator token',
  'the webhook secret',
  'a webhook key',
  'the ingress',
  'a file',
  'a folder',
] as const
export type Makeable = (typeof MAKEABLE)[number]

const SQL_KINDS: readonly string[] = ['clinic', 'portal']

/**
 * Reads a comment, `<!-- run: demo, exit 1 -->`.
 *
 * @returns null where the comment is about something else.
 * @throws Error in words for the writer of the page, where it looks like a marker and is none.
 */
export function parseMarker(comment: string): Marker | null {
  const [, not, run] = /^<!--\s*(?:not run:\s*(.*?)|run:\s*(.*?))\s*-->$/s.exec(comment.trim()) ?? []
  if (not !== undefined) {
    if (!/\w+\W+\w+/.test(not)) throw new Error('“not run” gives no reason in words')
    return { how: 'not', why: not.replaceAll(/\s+/g, ' ') }
  }
  if (run === undefined) {
    if (/^<!--\s*(not )?run\b/i.test(comment.trim())) throw new Error('write <!-- run: … --> or <!-- not run: why -->')
    return null
  }
  const [how = '', ...parts] = partsOf(run)
  if (!isOneOf(how, KINDS)) throw new Error(`“${how}” is no way to run a block: ${KINDS.join(', ')}`)
  const marker = { exit: 0, shows: [] as string[], rolledBack: false, needsSqlServer: false }
  const replacements: Replacement[] = []
  for (const part of parts) {
    const exit = /^exit (\d+)$/.exec(part)?.[1]
    const shows = /^shows "(.*)"$/s.exec(part)?.[1]
    if (exit !== undefined) marker.exit = Number(exit)
    else if (shows !== undefined) marker.shows.push(shows)
    else if (part === 'rolled back') marker.rolledBack = true
    else if (part === 'needs SQL Server') marker.needsSqlServer = true
    else replacements.push(replacementOf(part))
  }
  if (SQL_KINDS.includes(how) ? marker.exit !== 0 : marker.rolledBack)
    throw new Error(`“${marker.rolledBack ? 'rolled back' : 'exit'}” says nothing about a block that is run as ${how}`)
  return { how, ...marker, replacements }
}

/** Splits at commas that are not within quotes. */
const partsOf = (text: string): string[] =>
  (text.match(/(?:"[^"]*"|[^,"])+/g) ?? []).map((part) => part.trim().replaceAll(/\s*\n\s*/g, ' '))

function replacementOf(part: string): Replacement {
  const [, placeholder, text, made] = /^(.+?) = (?:"(.*)"|(.*))$/s.exec(part) ?? []
  if (placeholder === undefined) throw new Error(`“${part}” is no part of a marker`)
  if (text !== undefined) return { placeholder, by: { text } }
  if (isOneOf(made ?? '', MAKEABLE)) return { placeholder, by: { made: made as Makeable } }
  throw new Error(`“${made}” can not be made: put a text into quotes, or take one of ${MAKEABLE.join(', ')}`)
}

function isOneOf<T extends string>(text: string, list: readonly T[]): text is T {
  return (list as readonly string[]).includes(text)
}
