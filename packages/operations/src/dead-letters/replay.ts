import { contentOf, type DeadLetterBox, type OpenedLetter, PublishError, type Sender } from '@clinic-sync/broker'
import { directionFrom, type Direction, type Outcome, type OutcomeKind } from '@clinic-sync/contracts'
import { isTableName } from '@clinic-sync/mapping'
import { type RecordVersion, type RecordVersionStatus, SyncError } from '@clinic-sync/sync'
import { Answers } from './answers.ts'
import type { JudgedLetter } from './letter.ts'
import { parentsFirst, steps } from './steps.ts'

/** What a replay works with. */
export interface ReplayPorts {
  readonly box: Pick<DeadLetterBox, 'take' | 'remove'>
  readonly sender: Pick<Sender, 'replay'>
  /** Hears every outcome that consumers report, from before this resolves until it is closed. */
  readonly watch: (
    direction: Direction,
    onOutcomes: (outcomes: readonly Outcome[]) => void,
  ) => Promise<{ close(): Promise<void> }>
  /** What the source's outbox knows, for what nobody has answered: an outcome may be missed. */
  readonly recordVersions: (
    direction: Direction,
    records: readonly RecordVersion[],
  ) => Promise<readonly RecordVersionStatus[]>
}

export interface ReplayOptions {
  /** How long a step's consumers may be silent. Milliseconds; default 30 s. */
  readonly silenceMs?: number
  /** Stops between two steps, or the wait for answers. */
  readonly signal?: AbortSignal
  /** So many of all are answered for. */
  readonly onProgress?: (done: number, total: number) => void
}

/** Why a replay has not gone on. */
export interface Stop {
  readonly letter: JudgedLetter['letter']
  /** `dead` or `retry` again; `unanswered`: nobody said what became of it; `unsent`: RabbitMQ did not take it. */
  readonly what: 'dead' | 'retry' | 'unanswered' | 'unsent'
  readonly code: string
  readonly reason: string
}

export interface ReplayResult {
  /** Letters that have left the dead-letter queue. */
  readonly sent: number
  readonly outcomes: ReadonlyMap<OutcomeKind, number>
  /** Messages that are none of ours, or of another version: they stay. */
  readonly unfit: readonly { readonly letter: JudgedLetter['letter']; readonly reason: string }[]
  /** The first that failed; null: none did. */
  readonly stopped: Stop | null
  /** Letters that were not tried, since it stopped. */
  readonly left: number
}

/**
 * Sends dead letters on their way again: one, then 2, 5, 10 … 200 at a time in each direction, parents first. Each step is published with
 * confirm before its letters are removed, so that nothing is lost whenever this ends; what was published twice changes
 * nothing, by its version. The next step waits until the consumers have said what became of this one, and the first that is dead
 * again, waits for a retry, or is not heard of ends it.
 *
 * @throws SyncError SYNC_BROKER_DOWN: the letters that were not sent are back in their queue.
 */
export async function replay(
  ports: ReplayPorts,
  letters: readonly JudgedLetter[],
  options: ReplayOptions = {},
): Promise<ReplayResult> {
  const run = new Run(ports, letters, options)
  return run.all()
}

interface Sent {
  readonly judged: JudgedLetter
  readonly opened: OpenedLetter
  /** Null: it holds outcomes, which nobody answers. */
  readonly record: (RecordVersion & { readonly direction: Direction }) | null
}

class Run {
  readonly #ports: ReplayPorts
  readonly #letters: readonly JudgedLetter[]
  readonly #options: ReplayOptions
  readonly #answers = new Answers()
  readonly #outcomes = new Map<OutcomeKind, number>()
  readonly #unfit: { letter: JudgedLetter['letter']; reason: string }[] = []
  #sent = 0
  #done = 0

  constructor(ports: ReplayPorts, letters: readonly JudgedLetter[], options: ReplayOptions) {
    this.#ports = ports
    this.#letters = letters
    this.#options = options
  }

  async all(): Promise<ReplayResult> {
    const watches: { close(): Promise<void> }[] = []
    let stopped: Stop | null = null
    try {
      for (const direction of ['sql-to-postgres', 'postgres-to-sql'] as const) {
        watches.push(await this.#ports.watch(direction, (outcomes) => this.#answers.heard(direction, outcomes)))
      }
      for (const direction of ['sql-to-postgres', 'postgres-to-sql', null] as const) {
        const some = parentsFirst(this.#letters.filter((each) => each.direction === direction))
        for (const step of steps(some)) {
          if (this.#options.signal?.aborted === true) break
          stopped ??= await this.#step(step)
          if (stopped !== null) break
        }
      }
    } finally {
      await Promise.all(watches.map((watch) => watch.close()))
    }
    const left = this.#letters.length - this.#sent - this.#unfit.length
    return { sent: this.#sent, outcomes: this.#outcomes, unfit: this.#unfit, stopped, left }
  }

  async #step(step: readonly JudgedLetter[]): Promise<Stop | null> {
    const judged = new Map(step.map((each) => [each.letter, each]))
    const opened = await this.#ports.box.take(step.map(({ letter }) => letter))
    const fit = opened.flatMap((each) => this.#read(each, judged.get(each.letter)))
    this.#answers.expect(fit.flatMap(({ record }) => record ?? []))
    const unsent = await this.#publish(fit)
    const sent = fit.filter(({ opened: each }) => !unsent.has(each))
    for (const { opened: each } of sent) this.#ports.box.remove(each.letter)
    this.#sent += sent.length
    const [refused] = unsent
    if (refused !== undefined) {
      const [each, error] = refused
      return { letter: each.letter, what: 'unsent', code: error.code, reason: error.message }
    }
    return this.#await(sent)
  }

  #read(opened: OpenedLetter, judged: JudgedLetter | undefined): Sent[] {
    try {
      const content = contentOf(opened)
      if (judged === undefined) return []
      if (!('event' in content)) return [{ judged, opened, record: null }]
      const { table, key, version } = content.event.data
      const direction = directionFrom(content.event.source)
      return [{ judged, opened, record: { direction, table: table as RecordVersion['table'], key, version } }]
    } catch (error) {
      if (!(error instanceof SyncError)) throw error
      this.#unfit.push({ letter: opened.letter, reason: error.message })
      return []
    }
  }

  async #publish(some: readonly Sent[]): Promise<ReadonlyMap<OpenedLetter, SyncError>> {
    const letters = some.map(({ opened }) => opened)
    try {
      await this.#ports.sender.replay(letters)
      return new Map()
    } catch (error) {
      if (!(error instanceof PublishError)) throw error
      return new Map(Array.from(error.failures, ([index, why]) => [letters[index] as OpenedLetter, why]))
    }
  }

  /** Waits until all are answered for. A silence of the watch is put right by the outbox, which the ingress settles. */
  async #await(sent: readonly Sent[]): Promise<Stop | null> {
    const { silenceMs = 30_000, signal, onProgress } = this.#options
    const total = this.#letters.length - this.#unfit.length
    const before = this.#done
    const report = () => onProgress?.(before + sent.length - this.#answers.open, total)
    await this.#answers.all(silenceMs, report, signal)
    // Nobody waits for the answers any more: a database that is away would hold up the end.
    if (signal?.aborted === true) return null
    await this.#askForTheRest(sent)
    report()
    this.#done += sent.length
    let failed: Stop | null = null
    for (const { opened, record } of sent) {
      if (record === null) continue
      const answer = this.#answers.of(record)
      if (answer !== undefined) this.#outcomes.set(answer.outcome, (this.#outcomes.get(answer.outcome) ?? 0) + 1)
      const what = answer === undefined ? 'unanswered' : answer.outcome
      if (what !== 'dead' && what !== 'retry' && what !== 'unanswered') continue
      const reason = answer?.reason ?? (answer === undefined ? 'no consumer has said what became of it' : '')
      failed ??= { letter: opened.letter, what, code: answer?.code ?? what, reason }
    }
    return failed
  }

  async #askForTheRest(sent: readonly Sent[]): Promise<void> {
    for (const direction of ['sql-to-postgres', 'postgres-to-sql'] as const) {
      const open = sent.flatMap(({ record }) =>
        record?.direction === direction && isTableName(record.table) && this.#answers.of(record) === undefined
          ? [record]
          : [],
      )
      if (open.length === 0) continue
      const found = await this.#ports.recordVersions(direction, open).catch((error: unknown) => {
        if (error instanceof SyncError) return []
        throw error
      })
      for (const { table, key, version, status, supersededBy } of found) {
        if (status !== 'Synced' && supersededBy === null) continue
        this.#answers.heard(direction, [{ table, key, version, outcome: status === 'Synced' ? 'applied' : 'stale' }])
      }
    }
  }
}
