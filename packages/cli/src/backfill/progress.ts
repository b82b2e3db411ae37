import type { TableName } from '@clinic-sync/mapping'
import type { BackfillPage } from '@clinic-sync/sync'
import cliProgress from 'cli-progress'
import type { Progress } from './backfill.ts'

/** Lines between progress lines where there is no terminal. Milliseconds. */
const LINE_EVERY = 5_000

/** A bar a table on a terminal; otherwise a line every five seconds and one at a table's end. */
export function progressOn(out: NodeJS.WriteStream): Progress & { stop(): void } {
  return out.isTTY ? bars(out) : lines(out)
}

function bars(out: NodeJS.WriteStream): Progress & { stop(): void } {
  let bar: cliProgress.SingleBar | undefined
  let rate = new Rate(0)
  const ensure = (done: number, total: number) => {
    if (bar !== undefined) return bar
    rate = new Rate(done)
    bar = new cliProgress.SingleBar({
      stream: out,
      format: '{table} [{bar}] {value}/{total} rows  {speed} rows/s  {left} left',
      barCompleteChar: '█',
      barIncompleteChar: '░',
      barsize: 30,
      hideCursor: true,
    })
    bar.start(total, done, { table: '', speed: '–', left: '–' })
    return bar
  }
  return {
    table(name, done, total) {
      ensure(done, total).setTotal(total)
      bar?.update(done, { table: padded(name), ...rate.at(done, total) })
    },
    finished(name, page, queuedNow) {
      ensure(page.done - queuedNow, page.total).setTotal(page.total)
      bar?.update(page.done, { table: padded(name), ...rate.at(page.done, page.done) })
      bar?.stop()
      bar = undefined
    },
    stop() {
      bar?.stop()
    },
  }
}

function lines(out: NodeJS.WriteStream): Progress & { stop(): void } {
  let rate: Rate | undefined
  let last = Date.now()
  const line = (name: TableName, done: number, total: number) => {
    const { speed, left } = (rate ?? new Rate(done)).at(done, total)
    out.write(`${padded(name)} ${done}/${total} rows  ${speed} rows/s  ${left} left\n`)
    last = Date.now()
  }
  return {
    table(name, done, total) {
      rate ??= new Rate(done)
      if (Date.now() - last >= LINE_EVERY) line(name, done, total)
    },
    finished(name, page: BackfillPage) {
      line(name, page.done, page.done)
      rate = undefined
    },
    stop() {},
  }
}

/** Rows a second since the start of the table, and the time left at that rate. */
export class Rate {
  readonly #from: number
  readonly #started = performance.now()
  constructor(from: number) {
    this.#from = from
  }
  at(done: number, total: number): { speed: string; left: string } {
    const perSecond = (done - this.#from) / Math.max(0.001, (performance.now() - this.#started) / 1000)
    if (perSecond <= 0) return { speed: '–', left: done >= total ? '0 s' : '–' }
    return { speed: Math.round(perSecond).toLocaleString('en'), left: `${Math.ceil((total - done) / perSecond)} s` }
  }
}

export const padded = (name: string) => name.padEnd('aligner_set_payments'.length)
