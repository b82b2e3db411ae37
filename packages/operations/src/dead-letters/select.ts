import { sourceOf } from '@clinic-sync/contracts'
import { SyncError } from '@clinic-sync/sync'
import { isOver, type JudgedLetter } from './letter.ts'

/** Which dead letters a command is about: these, those of a cause, or all. Filters narrow causes and `all`. */
export interface Selection {
  /** A letter's id; an event's, `clinic/aligner_notes/5/77`; or a record, `aligner_notes/5`. */
  readonly ids?: readonly string[]
  /** An error code, as `list` groups by it. */
  readonly cause?: string
  readonly all?: boolean
  readonly direction?: string
  readonly table?: string
}

/**
 * The letters that are meant, in the order in which they lie. Named ones are meant whatever became of them.
 *
 * @throws SyncError SYNC_NO_SUCH_DEAD_LETTER for a name that none has, and where nothing is chosen at all.
 */
export function select(letters: readonly JudgedLetter[], selection: Selection): readonly JudgedLetter[] {
  const { ids = [], cause, all = false } = selection
  if (ids.length > 0) {
    const wanted = new Set(ids)
    const chosen = letters.map((letter) => ({ letter, names: namesOf(letter).filter((name) => wanted.has(name)) }))
    const found = new Set(chosen.flatMap(({ names }) => names))
    const missing = ids.filter((id) => !found.has(id))
    if (missing.length > 0) {
      throw new SyncError('SYNC_NO_SUCH_DEAD_LETTER', `There is no dead letter ${missing.map(shown).join(', ')}`)
    }
    return chosen.filter(({ names }) => names.length > 0).map(({ letter }) => letter)
  }
  if (cause === undefined && !all) return []
  return filtered(letters, selection)
}

/** Letters of a direction, a table and a cause, where these are given. */
export function filtered(letters: readonly JudgedLetter[], { direction, table, cause }: Selection): JudgedLetter[] {
  return letters.filter(
    (each) =>
      (direction === undefined || each.direction === direction) &&
      (table === undefined || each.letter.about?.table === table) &&
      (cause === undefined || each.letter.errorCode.toLowerCase() === cause.toLowerCase()),
  )
}

/** Those whose change has not arrived in another way: the rest would be stale. */
export const standing = (letters: readonly JudgedLetter[]): JudgedLetter[] => letters.filter((each) => !isOver(each))

/** What a letter is called by: its id, its event's, its record, and that version of it. */
export function namesOf({ letter, direction }: JudgedLetter): string[] {
  const names = letter.messageId === null ? [letter.id] : [letter.id, letter.messageId]
  if (letter.about === null) return names
  const { table, key, version } = letter.about
  const record = `${table}/${key}`
  return [...names, record, ...(direction === null ? [] : [`${sourceOf(direction)}/${record}/${version}`])]
}

/** What was typed, as far as it may be shown. */
const shown = (name: string): string => (/^[\w./-]{1,100}$/.test(name) ? name : '(of that name)')
