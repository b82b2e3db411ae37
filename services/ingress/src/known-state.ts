/**
 * What is known of each dependency from the last time it was used. /readyz answers from here, so a probe costs no query. A
 * dependency that has not answered yet counts as not ready.
 */
export class KnownState {
  readonly #checks = new Map<string, () => string | null>()
  readonly #reasons = new Map<string, string | null>()
  readonly #says = new Map<string, () => string>()

  /** A dependency whose state is told with {@link tell}. */
  expect(name: string): void {
    this.#reasons.set(name, 'has not answered yet')
    this.#checks.set(name, () => this.#reasons.get(name) ?? null)
  }

  /** A dependency that knows its own state: null, or the reason why it is not ready. `says`: another word for `ok`. */
  ask(name: string, reason: () => string | null, says?: () => string): void {
    this.#checks.set(name, reason)
    if (says !== undefined) this.#says.set(name, says)
  }

  /** @param reason null: it answered. */
  tell(name: string, reason: string | null): void {
    this.#reasons.set(name, reason)
  }

  /** Why it is not ready; null: it is, or it is not known here. */
  reason(name: string): string | null {
    return this.#checks.get(name)?.() ?? null
  }

  /** Why it is not ready, one sentence each, for `startHealth`. */
  reasons(): string[] {
    return [...this.#checks].flatMap(([name, reason]) => {
      const why = reason()
      return why === null ? [] : [`${name}: ${why}`]
    })
  }

  /** `ok` or the reason why not, by name. */
  read(): { readonly ready: boolean; readonly checks: Record<string, string> } {
    const reasons = [...this.#checks].map(([name, reason]) => [name, reason()] as const)
    return {
      ready: reasons.every(([, reason]) => reason === null),
      checks: Object.fromEntries(reasons.map(([name, reason]) => [name, reason ?? this.#says.get(name)?.() ?? 'ok'])),
    }
  }
}
