/** What must be undone at the end, in reverse order. */
export interface Releasers {
  /** @throws Error when undoing has begun; what was to be added is undone at once. */
  add(label: string, release: () => Promise<unknown>): void
  /** Undoes everything once, whatever fails; safe to call again. Returns the labels of what could not be undone. */
  releaseAll(): Promise<readonly string[]>
}

export function releasers(): Releasers {
  const stack: { label: string; release: () => Promise<unknown> }[] = []
  let running: Promise<readonly string[]> | undefined
  return {
    add(label, release) {
      if (running === undefined) return void stack.push({ label, release })
      void release().catch(() => undefined)
      throw new Error('Stopping.')
    },
    releaseAll() {
      running ??= (async () => {
        const failed: string[] = []
        for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
          const { label, release } = next
          await release().catch(() => failed.push(label))
        }
        return failed
      })()
      return running
    },
  }
}
