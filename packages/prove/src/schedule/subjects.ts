import { type Column, type TableName, tableNamed } from '@clinic-sync/mapping'
import type { Random } from '@clinic-sync/demo'
import { stream } from './streams.ts'

/**
 * What may happen to a record besides edits.
 *
 * `steady`: nothing, so that every edit can be accounted for. `mortal`: staff delete it and bring it back. `erased`: doctors delete
 * it, and the clinic gives it back. `spoiled`: doctors write what the clinic cannot take, until it is cured at the end.
 */
export type Fate = 'steady' | 'mortal' | 'erased' | 'spoiled'

/** Who edits a column of a record. */
export type Editors = 'staff' | 'doctors' | 'both'

/** A record of the schedule, by a name: its key is known only when it has been made. */
export interface Subject {
  readonly name: string
  readonly table: TableName
  readonly fate: Fate
  /** The name of its aligner set; null for what belongs to none. */
  readonly set: string | null
  /** Only notes have one. */
  readonly noteType: 'Doctor' | 'Lab' | null
}

/** How many records the people quarrel about: few enough that they meet. */
export interface Extent {
  readonly sets: number
  readonly batchesPerSet: number
  readonly notesPerSet: number
}

const FATES: readonly Fate[] = ['steady', 'steady', 'steady', 'mortal', 'erased']

/** A set's records share its end: only the sets with these fates are picked. */
const fateOfSet = (random: Random): Fate => (random.chance(0.25) ? 'mortal' : 'steady')

/** The records that are there before the schedule begins, parents before children. */
export function firstSubjects(seed: number, extent: Extent): Subject[] {
  const subjects: Subject[] = [
    { name: 'doctor', table: 'aligner_doctors', fate: 'steady', set: null, noteType: null },
    { name: 'patient', table: 'patients', fate: 'steady', set: null, noteType: null },
    { name: 'work', table: 'work', fate: 'steady', set: null, noteType: null },
  ]
  const children: Subject[] = []
  for (let s = 1; s <= extent.sets; s++) {
    const set = `set ${s}`
    // The first set stays, so that there always is one to write notes in.
    const fate = s === 1 ? 'steady' : fateOfSet(stream(seed, 'fate', set))
    subjects.push({ name: set, table: 'aligner_sets', fate, set: null, noteType: null })
    for (let b = 1; b <= extent.batchesPerSet; b++) children.push(batchOf(seed, `batch ${s}.${b}`, set, fate))
    for (let n = 1; n <= extent.notesPerSet; n++) {
      const spoiled = s === 1 && n === 1
      const note = noteOf(seed, `note ${s}.${n}`, set, fate)
      children.push(spoiled ? { ...note, fate: 'spoiled', noteType: 'Doctor' } : note)
    }
  }
  return [...subjects, ...children]
}

/** A note, with the fate and type that the seed gives its name. In a mortal set everything is mortal. */
export function noteOf(seed: number, name: string, set: string, fateOfItsSet: Fate): Subject {
  const random = stream(seed, 'fate', name)
  const fate = random.pick(FATES)
  const noteType = random.chance(0.8) ? 'Doctor' : 'Lab'
  return { name, table: 'aligner_notes', fate: fateOfItsSet === 'mortal' ? 'mortal' : fate, set, noteType }
}

/** A batch, likewise. */
export function batchOf(seed: number, name: string, set: string, fateOfItsSet: Fate): Subject {
  const fate = stream(seed, 'fate', name).pick(FATES)
  return { name, table: 'aligner_batches', fate: fateOfItsSet === 'mortal' ? 'mortal' : fate, set, noteType: null }
}

/** Whether doctors may edit that column of that record. */
export function isShared({ table, noteType }: Pick<Subject, 'table' | 'noteType'>, column: Column): boolean {
  const { sharedWhen } = tableNamed(table)
  return column.owner === 'shared' && (sharedWhen === null || sharedWhen.equals === noteType)
}

/** Who edits a column of a record: decided by the seed for what is shared; all else is the clinic's. */
export function editorsOf(seed: number, subject: Subject, column: Column): Editors {
  if (!isShared(subject, column)) return 'staff'
  if (subject.fate === 'spoiled') return 'doctors'
  return stream(seed, 'editors', subject.name, column.name).pick(['staff', 'doctors', 'both', 'both'] as const)
}
