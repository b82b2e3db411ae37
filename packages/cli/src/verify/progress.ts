import type { VerifyProgress, VerifyRepairProgress } from '@clinic-sync/operations'
import cliProgress from 'cli-progress'
import { padded, Rate } from '../backfill/progress.ts'

/** Lines between progress lines where there is no terminal. Milliseconds. */
const LINE_EVERY = 5_000

export interface VerifyBar {
  /** @param total about how many rows there are; 0: nobody knows */
  at(progress: Pick<VerifyProgress, 'rows' | 'waiting'> & { readonly table: string }, total: number): void
  stop(): void
}

/** A bar on a terminal; otherwise a line every five seconds. */
export const verifyBar = (out: NodeJS.WriteStream): VerifyBar => (out.isTTY ? bar(out) : lines(out))

/** One bar for what is queued, then one for what has arrived: each has a rate of its own. */
export function repairBar(out: NodeJS.WriteStream): { at(progress: VerifyRepairProgress): void; stop(): void } {
  let [shown, of]: [VerifyBar | undefined, VerifyRepairProgress['stage'] | undefined] = [undefined, undefined]
  return {
    at({ stage, rows, of: total }) {
      if (stage !== of) {
        shown?.stop()
        ;[shown, of] = [verifyBar(out), stage]
      }
      shown?.at({ table: stage, rows, waiting: 0 }, total)
    },
    stop: () => shown?.stop(),
  }
}

function bar(out: NodeJS.WriteStream): VerifyBar {
  const rate = new Rate(0)
  let shown: cliProgress.SingleBar | undefined
  return {
    at({ table, rows, waiting }, total) {
      const of = Math.max(total, rows)
      if (shown === undefined) {
        shown = new cliProgress.SingleBar({
          stream: out,
          format: '{table} [{bar}] {value}/{total} rows  {speed} rows/s  {left} left{waiting}',
          barCompleteChar: '█',
          barIncompleteChar: '░',
          barsize: 30,
          hideCursor: true,
          clearOnComplete: true,
        })
        shown.start(of, 0, { table: '', speed: '–', left: '–', waiting: '' })
      }
      shown.setTotal(of)
      shown.update(rows, { table: padded(table), ...rate.at(rows, of), waiting: onTheWay(waiting) })
    },
    stop: () => shown?.stop(),
  }
}

function lines(out: NodeJS.WriteStream): VerifyBar {
  const rate = new Rate(0)
  let last = Date.now()
  return {
    at({ table, rows, waiting }, total) {
      if (Date.now() - last < LINE_EVERY) return
      last = Date.now()
      const of = Math.max(total, rows)
      const { speed, left } = rate.at(rows, of)
      out.write(`${padded(table)} ${rows}/${of} rows  ${speed} rows/s  ${left} left${onTheWay(waiting)}\n`)
    },
    stop: () => undefined,
  }
}

const onTheWay = (waiting: number) => (waiting === 0 ? '' : `  ${waiting.toLocaleString('en')} on their way`)
