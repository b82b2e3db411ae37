import type { ErrorCode, FailureClass } from '../errors.ts'

/**
 * What a class leaves open.
 *
 * `passing`: somebody else was there first, for milliseconds as a rule: tried again in hand for about a second before it counts as an attempt.
 * `doubtful`: one piece of work may be too heavy, or the server may be too slow for all of them: see blame.ts of the broker package.
 * `narrow`: a smaller batch may go through where a large one does not, so the batch is halved before the server is blamed.
 * `misfit`: the database's objects do not fit; or a trigger of its owner's does not, which concerns its own rows only.
 * `freed`: another record may be about to give the value free: tried again in hand, and once after the first retry queue
 * (docs/decisions/010).
 */
export type Nature = 'passing' | 'doubtful' | 'narrow' | 'misfit' | 'freed'

/** What one error code means for the work at hand. */
export interface FailureRule {
  /** SQLSTATE or the beginning of one, error number, driver's or Node's code, AMQP reply code. */
  readonly code: string
  readonly failure: FailureClass
  /** What happened: no capital, no full stop, no value. Follows "table.column" where it begins with "must" or "violates". */
  readonly words: string
  /** What the operator does, where it is not what its class says: see {@link CLASS_ADVICE}. */
  readonly advice?: string
  readonly nature?: Nature
  /** The catalogue's code for it, where it has one of its own. */
  readonly error?: ErrorCode
}

/** What an operator does about a failure of a class, where its rule says nothing more particular. */
export const CLASS_ADVICE: Readonly<Record<FailureClass, string>> = {
  transient:
    'Nothing, as long as it waits for a retry. Dead after all of them: find out what stood in the way for so long, then replay it.',
  parent:
    'Nothing, as long as it waits for a retry. Dead: see why the record that it refers to has not arrived, then replay it.',
  permanent:
    'Correct the value where it came from, which sends the record anew, or let the target take it and replay the dead letter.',
  down: 'Cure the server; nothing is lost meanwhile, and the service goes on by itself.',
}

export type Described = readonly [
  code: string | number,
  words: string,
  more?: Omit<FailureRule, 'code' | 'failure' | 'words'>,
]

/** Rules of one class. */
export const rules = (failure: FailureRule['failure'], ...described: readonly Described[]): FailureRule[] =>
  described.map(([code, words, more]) => ({ code: String(code), failure, words, ...more }))

export const byCode = (all: readonly FailureRule[]): ReadonlyMap<string, FailureRule> =>
  new Map(all.map((rule) => [rule.code, rule]))
