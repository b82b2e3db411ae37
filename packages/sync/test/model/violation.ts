/** A promise that a schedule broke. */
export class Violation extends Error {}

export function must(holds: boolean, what: () => string): void {
  if (!holds) throw new Violation(what())
}
