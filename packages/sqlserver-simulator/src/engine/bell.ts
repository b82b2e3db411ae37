/** Rung, it is kept until somebody who waits has heard it; each ring wakes one, as a queue's RECEIVE does. */
export class Bell {
  #rung = false
  readonly #waiters: (() => void)[] = []

  ring(): void {
    const wake = this.#waiters.shift()
    if (wake) wake()
    else this.#rung = true
  }

  /**
   * Waits for a ring since the last call. True: it rang; false: `timeout` (ms; 0 or less waits for ever) passed.
   * Rejects with the signal's reason.
   */
  async wait(timeout: number, signal: AbortSignal): Promise<boolean> {
    signal.throwIfAborted()
    if (this.#rung) {
      this.#rung = false
      return true
    }
    return new Promise((resolve, reject) => {
      const end = (settle: () => void) => {
        clearTimeout(timer)
        signal.removeEventListener('abort', abort)
        const at = this.#waiters.indexOf(wake)
        if (at >= 0) this.#waiters.splice(at, 1)
        settle()
      }
      const wake = () => end(() => resolve(true))
      const abort = () => end(() => reject(signal.reason))
      const timer = timeout > 0 ? setTimeout(() => end(() => resolve(false)), timeout) : undefined
      signal.addEventListener('abort', abort)
      this.#waiters.push(wake)
    })
  }
}
