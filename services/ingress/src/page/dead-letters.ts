import type {
  DeadLetterDiscard,
  DeadLetterExplanations,
  DeadLetterList,
  DeadLetterRehearsals,
  DeadLetterReplay,
} from '@clinic-sync/contracts'
import {
  bounded,
  discard,
  explain,
  facts,
  type JudgedLetter,
  namesOf,
  openYard,
  rehearsedFacts,
  rehearseLetters,
  replay,
  select,
  unaskedLines,
  type Yard,
  type YardOptions,
} from '@clinic-sync/operations'

/** Letters that are listed; the status counts all of them by cause. */
const LISTED = 1_000
/** For another's end, and for each connection to RabbitMQ: somebody sits before the page. Milliseconds. */
const WAIT_MS = 5_000
/** For a database. Milliseconds. */
const PATIENCE_MS = 10_000
/** How long consumers may be silent after a step of a replay. Milliseconds. */
const SILENCE_MS = 20_000

export interface PageDeadLettersOptions extends Pick<YardOptions, 'rabbitmqUrl' | 'databases' | 'log'> {
  readonly waitMs?: number
  readonly patienceMs?: number
  readonly silenceMs?: number
}

/** Those of the letters that are there, and the names that none has: somebody else may have been faster. */
interface Chosen {
  readonly letters: readonly JudgedLetter[]
  readonly gone: readonly string[]
}

const GONE = 'There is no such dead letter any more.'

/**
 * Work on the dead letters for the status page. Each takes all letters in hand, and gives them back when it ends.
 *
 * Each method throws SyncError: SYNC_BROKER_DOWN, SYNC_DEAD_LETTERS_BUSY, SYNC_BROKER_RIGHTS; DatabaseError of the side that it needs.
 */
export class PageDeadLetters {
  readonly #options: PageDeadLettersOptions

  constructor(options: PageDeadLettersOptions) {
    this.#options = options
  }

  list(): Promise<DeadLetterList> {
    return this.#inYard(async (yard) => ({
      letters: yard.letters.slice(0, LISTED).map(facts),
      total: yard.letters.length,
      unasked: unaskedLines(yard),
    }))
  }

  explain(ids: readonly string[]): Promise<DeadLetterExplanations> {
    return this.#inYard(async (yard) => {
      const { letters, gone } = choose(yard, ids)
      const parts = (each: JudgedLetter) =>
        explain(each).map(({ heading, sentences }) => ({ heading, sentences: [...sentences] }))
      return {
        explanations: [
          ...letters.map((each) => ({ id: each.letter.id, parts: parts(each) })),
          ...gone.map((id) => ({ id, parts: [{ heading: 'What', sentences: [GONE] }] })),
        ],
      }
    })
  }

  /** @param signal ends it between two letters */
  rehearse(ids: readonly string[], signal: AbortSignal): Promise<DeadLetterRehearsals> {
    return this.#inYard(async (yard) => {
      const { letters, gone } = choose(yard, ids)
      const rehearsed: DeadLetterRehearsals['rehearsed'] = []
      for await (const each of rehearseLetters(yard, letters)) {
        rehearsed.push(rehearsedFacts(each))
        if (signal.aborted) break
      }
      const none = { outcome: 'unfit', reason: GONE, columns: [], passes: false }
      return { rehearsed: [...rehearsed, ...gone.map((id) => ({ id, ...none }))] }
    })
  }

  /** @param signal ends it between two steps: what was not sent lies where before, and is counted as `left` */
  replay(ids: readonly string[], signal: AbortSignal): Promise<DeadLetterReplay> {
    return this.#inYard(async (yard) => {
      const { letters, gone } = choose(yard, ids)
      const sender = await yard.sender()
      const { silenceMs = SILENCE_MS } = this.#options
      const { sent, outcomes, unfit, stopped, left } = await replay({ ...yard, sender }, letters, { signal, silenceMs })
      return {
        sent,
        outcomes: Object.fromEntries(outcomes),
        unfit: [
          ...unfit.map(({ letter, reason }) => ({ id: letter.id, reason })),
          ...gone.map((id) => ({ id, reason: GONE })),
        ],
        stopped: stopped && { id: stopped.letter.id, what: stopped.what, code: stopped.code, reason: stopped.reason },
        left,
      }
    })
  }

  discard(ids: readonly string[], by: string, why: string): Promise<DeadLetterDiscard> {
    return this.#inYard(async (yard) => {
      const { letters, gone } = choose(yard, ids)
      const ports = { box: yard.box, sender: await yard.sender(), settle: yard.settle }
      const discarded = letters.length === 0 ? 0 : await discard(ports, letters, { by, why })
      return { discarded, refused: gone.map((id) => ({ id, reason: GONE })) }
    })
  }

  async #inYard<T>(work: (yard: Yard) => Promise<T>): Promise<T> {
    const { waitMs = WAIT_MS, patienceMs = PATIENCE_MS } = this.#options
    const yard = await openYard({ ...this.#options, name: 'ingress page', waitMs, patienceMs })
    const inTime = async <R>(look: () => Promise<R>): Promise<R> => {
      const found = await bounded('The database', look, patienceMs)
      if ('error' in found) throw found.error
      return found.facts
    }
    try {
      return await work({
        ...yard,
        recordVersions: (...asked) => inTime(() => yard.recordVersions(...asked)),
        rehearse: (...asked) => inTime(() => yard.rehearse(...asked)),
        settle: (...asked) => inTime(() => yard.settle(...asked)),
      })
    } finally {
      await yard.close()
    }
  }
}

function choose({ letters }: Yard, ids: readonly string[]): Chosen {
  const known = new Set(letters.flatMap(namesOf))
  const [there, gone] = [ids.filter((id) => known.has(id)), ids.filter((id) => !known.has(id))]
  return { letters: there.length === 0 ? [] : select(letters, { ids: there }), gone }
}
