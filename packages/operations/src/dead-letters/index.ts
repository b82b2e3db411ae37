export { discard, type DiscardPorts } from './discard.ts'
export { directionOfLetter, isOver, judge, type Judged, type JudgedLetter, type Standing } from './letter.ts'
export {
  type ColumnDifference,
  differences,
  rehearseLetters,
  type RehearsePorts,
  type Rehearsed,
  wouldPass,
} from './rehearse.ts'
export { replay, type ReplayOptions, type ReplayPorts, type ReplayResult, type Stop } from './replay.ts'
export { filtered, namesOf, select, type Selection, standing } from './select.ts'
export { facts, rehearsedFacts, unaskedLines } from './facts.ts'
export { openYard, type Yard, type YardDatabase, type YardOptions } from './yard.ts'
export { counted, explain, explainCause, type Explanation } from './explain.ts'
