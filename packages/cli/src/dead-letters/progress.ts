import cliProgress from 'cli-progress'

/** Says how far a command has got. */
export interface Progress {
  at(done: number, total: number): void
  stop(): void
}

/** Between lines where there is no terminal. Milliseconds. */
const LINE_EVERY = 5_000

/** A bar on a terminal; otherwise a line when a while has passed. @param what such as `replayed` */
export function progressOn(out: NodeJS.WriteStream, what: string): Progress {
  if (!out.isTTY) {
    let last = Date.now()
    return {
      at(done, total) {
        if (Date.now() - last < LINE_EVERY) return
        last = Date.now()
        out.write(`${done}/${total} ${what}\n`)
      },
      stop() {},
    }
  }
  let bar: cliProgress.SingleBar | undefined
  return {
    at(done, total) {
      if (bar === undefined) {
        bar = new cliProgress.SingleBar({
          stream: out,
          format: `[{bar}] {value}/{total} ${what}  {eta} s left`,
          barCompleteChar: '█',
          barIncompleteChar: '░',
          barsize: 30,
          // A command that is interrupted would leave the terminal without one.
          hideCursor: false,
          gracefulExit: false,
        })
        bar.start(total, done)
      }
      bar.setTotal(total)
      bar.update(done)
    },
    stop() {
      bar?.stop()
      bar = undefined
    },
  }
}
